package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/tui"
)

// scriptLine is a command by the clock of the dashboard.
type scriptLine struct {
	at      time.Duration // since the start
	command event.Command
}

// maxScript bounds a script.
const maxScript = 10_000 // lines

const scriptHint = "lines such as '20s camera.off' and '1m30s load.more viewers=50', in the order of time; # begins a comment"

// readScript reads the commands of a file, in the order of time.
func readScript(path string) ([]scriptLine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read script: %w", err), scriptHint)
	}
	defer f.Close()
	var all []scriptLine
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		when, rest, _ := strings.Cut(text, " ")
		at, err := time.ParseDuration(when)
		c, ok := event.ParseCommand(rest)
		switch {
		case err != nil || at < 0 || !ok:
			return nil, cli.Usage(cli.Hint(fmt.Errorf("script %q: line %d: %.60q is no time and command", path, n, text), scriptHint))
		case len(all) > 0 && at < all[len(all)-1].at:
			return nil, cli.Usage(cli.Hint(fmt.Errorf("script %q: line %d: %v is before the line above", path, n, at), scriptHint))
		case len(all) == maxScript:
			return nil, cli.Usage(fmt.Errorf("script %q: more than %d lines", path, maxScript))
		}
		all = append(all, scriptLine{at, c})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	return all, nil
}

// follow carries out the script, if there is one, while show runs. A command that
// fails is an error of the whole: a script that goes on without what it asked for
// shows something else.
func (c *tuiCmd) follow(ctx context.Context, src tui.Source, show func() error) error {
	if c.Script == "" {
		return show()
	}
	all, err := readScript(c.Script)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var failed error
	var doing sync.WaitGroup
	doing.Go(func() {
		begin := time.Now()
		for _, l := range all {
			if pause(ctx, time.Until(begin.Add(l.at))) != nil {
				return
			}
			if _, err := src.Do(ctx, l.command); err != nil && ctx.Err() == nil {
				failed = errors.Join(failed, fmt.Errorf("script %q: at %v: %w", c.Script, l.at, err))
			}
		}
	})
	err = show()
	stop()
	doing.Wait()
	return errors.Join(err, failed)
}
