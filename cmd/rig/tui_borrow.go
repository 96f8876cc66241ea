package main

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"porthole/hil"
	"porthole/internal/cli"
	"porthole/internal/event"
)

// borrowed is the port while a flasher has it. What the board says as it starts
// is the console's, although the flasher reads it: from the restart on it is
// published line by line.
type borrowed struct {
	hil.Port
	w *watch

	mu        sync.Mutex
	listening bool
	line      []byte
}

// maxBorrowedLine bounds a line that never ends.
const maxBorrowedLine = 4096

// listen begins with the publication.
func (b *borrowed) listen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listening = true
}

// Read implements hil.Port.
func (b *borrowed) Read(p []byte) (int, error) {
	n, err := b.Port.Read(p)
	b.take(p[:n])
	return n, err
}

// take publishes the lines that are whole, and says whether a part is left.
func (b *borrowed) take(p []byte) (part bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.listening {
		return false
	}
	b.line = append(b.line, p...)
	for {
		end := bytes.IndexByte(b.line, '\n')
		if end < 0 && len(b.line) > maxBorrowedLine {
			end = len(b.line) - 1
		}
		if end < 0 {
			return len(b.line) > 0
		}
		text := ansi.Strip(strings.TrimRight(strings.ToValidUTF8(string(b.line[:end]), "\uFFFD"), "\r"))
		b.w.bus.Publish(event.Event{Source: event.Board, Kind: event.Console, Text: cli.Printable(text)})
		b.line = b.line[end+1:]
	}
}

// lineTime is what the rest of a line may take: 100 characters take 9 ms.
const lineTime = 200 * time.Millisecond

// Close implements hil.Port. The line that the board is in the middle of is read
// to its end, so that the monitor begins with a whole one.
func (b *borrowed) Close() error {
	if b.take(nil) && b.Port.SetReadDeadline(time.Now().Add(lineTime)) == nil {
		var one [1]byte
		for more := true; more; {
			n, err := b.Port.Read(one[:])
			more = b.take(one[:n]) && err == nil
		}
	}
	return b.Port.Close()
}
