package tui

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi/kitty"

	"porthole/internal/event"
)

var graphics = regexp.MustCompile(`(?s)\x1b_G([^;\x1b]*)(?:;([^\x1b]*))?\x1b\\`)

// sentPictures takes the graphics commands out of what reached the terminal: for
// each picture that was sent, its keys and its data.
func (term *terminal) sentPictures() (keys []string, pictures [][]byte) {
	term.t.Helper()
	var data strings.Builder
	for _, m := range graphics.FindAllStringSubmatch(term.out.String(), -1) {
		if strings.Contains(m[1], "a=q") || strings.Contains(m[1], "a=d") {
			continue
		}
		if strings.Contains(m[1], "a=T") {
			keys = append(keys, m[1])
			data.Reset()
		}
		if len(m[2]) > kittyChunk {
			term.t.Errorf("a chunk of %d bytes", len(m[2]))
		}
		data.WriteString(m[2])
		if strings.HasSuffix(m[1], "m=0") {
			b, err := base64.StdEncoding.DecodeString(data.String())
			if err != nil {
				term.t.Fatal(err)
			}
			pictures = append(pictures, b)
		}
	}
	return keys, pictures
}

// TestKitty: the terminal gets each picture once, in the size of its place, and
// the screen holds a placeholder for every cell of it.
func TestKitty(t *testing.T) {
	for _, tt := range []struct {
		name   string
		how    Image
		answer string
		kitty  bool
	}{
		{"forced", Kitty, "", true},
		{"the terminal says yes", Auto, "\x1b_Gi=31;OK\x1b\\", true},
		{"the terminal says no", Auto, "\x1b_Gi=31;ENOTSUP\x1b\\", false},
		{"the terminal says nothing", Auto, "", false},
		{"half blocks asked for", Half, "\x1b_Gi=31;OK\x1b\\", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				term := start(t, 120, 40, colorprofile.ANSI256, Config{Image: tt.how})
				if tt.answer != "" {
					term.press(tt.answer)
				}
				frame := func(seq uint64) {
					term.publish(event.Event{Source: event.Server, Kind: event.Accepted, Frame: event.FrameInfo{Seq: seq, Bytes: 1000, Width: 160, Height: 120}},
						event.Event{Source: event.Server, Kind: event.ModeChanged, Mode: event.Live})
					term.press()
				}
				frame(1)
				frame(2)
				cells, rows, cols := 0, map[string]bool{}, map[string]bool{}
				for y := range term.em.Height() {
					for x := range term.em.Width() {
						r := []rune(term.em.CellAt(x, y).Content)
						if len(r) == 0 || r[0] != kitty.Placeholder {
							continue
						}
						cells++
						if len(r) != 3 {
							t.Fatalf("placeholder %q at %d, %d", r, x, y)
						}
						rows[string(r[1])], cols[string(r[2])] = true, true
					}
				}
				keys, pictures := term.sentPictures()
				if !tt.kitty {
					if cells != 0 || len(pictures) != 0 || !strings.Contains(term.text(), "▀") {
						t.Errorf("%d placeholders, %d pictures", cells, len(pictures))
					}
					return
				}
				if cells == 0 || cells != len(rows)*len(cols) {
					t.Errorf("%d placeholders in %d rows and %d columns", cells, len(rows), len(cols))
				}
				if len(pictures) != 2 {
					t.Fatalf("%d pictures for two frames", len(pictures))
				}
				for _, want := range []string{"U=1", "q=2", "f=100", "i=224", "c=" + strconv.Itoa(len(cols)), "r=" + strconv.Itoa(len(rows))} {
					if !strings.Contains(keys[1], want) {
						t.Errorf("keys %q lack %s", keys[1], want)
					}
				}
				if img, err := png.Decode(bytes.NewReader(pictures[1])); err != nil || img.Bounds().Dx() != 160 {
					t.Errorf("picture: %v", err)
				}
				term.press("1", "z") // another size: sent again
				if keys, _ := term.sentPictures(); len(keys) != 3 || keys[2] == keys[1] {
					t.Errorf("after zooming: %q", keys)
				}
				term.press("z", "q")
				<-term.ended
				time.Sleep(time.Second)
				if !strings.Contains(term.out.String(), "a=d,d=I,q=2,i=224") {
					t.Error("the picture stays in the terminal")
				}
			})
		})
	}
}
