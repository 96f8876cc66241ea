package board

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// A PTYConfig describes the face of a board as a pseudo-terminal: a device path,
// for flashers and terminals that open nothing else.
//
// A pseudo-terminal has no DTR and RTS, so a host cannot reset the board. The
// policies stand in for that: start in download mode, enter it when a flasher calls
// (Config.AutoDownload of the board), and run the application when the flasher has
// gone.
type PTYConfig struct {
	Board *Board

	// Link is a symbolic link to publish the device under, such as /tmp/esp32. An
	// existing link is replaced in one step, anything else is left alone and an
	// error. It is removed at the end if it is still ours. Empty means no link.
	Link string

	// Download resets the board into download mode at the start.
	Download bool

	// CloseReset resets a board that is in a loader into its application when the
	// device has been closed that long; 0 means never. Flashers close and reopen
	// the port at a change of speed (esp32-serial 3.3), so it should be above 1 s.
	CloseReset time.Duration

	Log *slog.Logger // nil discards
}

// ptyPoll is how often a pseudo-terminal is looked at for things that wake nobody:
// being opened, a change of speed.
const ptyPoll = 20 * time.Millisecond

// reachable says why nobody can connect to the board, be it busy or not.
func (b *Board) reachable() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case !b.plugged:
		return ErrUnplugged
	}
	return nil
}

// publish points the symbolic link at target, in one step.
func publish(link, target string) error {
	switch info, err := os.Lstat(link); {
	case err == nil && info.Mode()&os.ModeSymlink == 0:
		return fmt.Errorf("publish %q: a file of that name exists and is no symbolic link", link)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("publish %q: %w", link, err)
	}
	temp := filepath.Join(filepath.Dir(link), fmt.Sprintf(".%s.%d", filepath.Base(link), os.Getpid()))
	os.Remove(temp) // of a run that died here
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("publish %q: %w", link, err)
	}
	if err := os.Rename(temp, link); err != nil {
		os.Remove(temp)
		return fmt.Errorf("publish %q: %w", link, err)
	}
	return nil
}

// unpublish removes the link if it still points at target.
func unpublish(link, target string) error {
	if now, err := os.Readlink(link); err != nil || now != target {
		return nil // gone, or somebody else's by now
	}
	if err := os.Remove(link); err != nil {
		return fmt.Errorf("remove link %q: %w", link, err)
	}
	return nil
}
