package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/internal/boardcfg"
	"porthole/internal/cli"
	"porthole/internal/nvs"
)

// reopenPause is the time between two tries to open a port that has vanished.
const reopenPause = 200 * time.Millisecond

// startReading has a goroutine read the console.
func (b *Board) startReading() {
	var ctx context.Context
	ctx, b.reading = context.WithCancel(b.life)
	b.read = make(chan struct{})
	if port, err := b.current(); err == nil {
		port.SetReadDeadline(time.Time{}) // who had the port before has left its own
	}
	b.work.Go(func() {
		defer close(b.read)
		buf := make([]byte, 4<<10)
		for ctx.Err() == nil {
			port, err := b.current()
			if err != nil {
				b.reopen(ctx)
				continue
			}
			n, err := port.Read(buf)
			b.console.Write(buf[:n])
			if err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				b.note("the port vanished: " + err.Error())
				b.drop(port)
			}
		}
	})
}

// stopReading leaves the port to somebody else.
func (b *Board) stopReading() {
	if b.reading == nil {
		return
	}
	b.reading()
	if port, err := b.current(); err == nil {
		port.SetReadDeadline(time.Unix(1, 0))
	}
	<-b.read
	b.reading = nil
}

func (b *Board) drop(port hil.Port) {
	port.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.port == port {
		b.port = nil
	}
}

// reopen tries once to open the port, after a pause.
func (b *Board) reopen(ctx context.Context) {
	if sleep(ctx, reopenPause) != nil {
		return
	}
	port, err := b.cfg.Open(ctx)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.port = port
	b.mu.Unlock()
	b.note("the port is back")
}

// lend opens the port for a flasher: the same one, as long as it works.
func (b *Board) lend(ctx context.Context) (hil.Port, error) {
	if port, err := b.current(); err == nil {
		if err := port.SetReadDeadline(time.Time{}); err == nil {
			return &lent{Port: port, b: b}, nil
		}
		b.drop(port)
	}
	port, err := b.cfg.Open(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.port = port
	b.mu.Unlock()
	return &lent{Port: port, b: b}, nil
}

// lent is the port while a flasher has it. It stays open, unless it fails, so
// that nothing is lost that the board prints when it starts.
type lent struct {
	hil.Port
	b      *Board
	boot   []byte // what came since the last reset
	failed bool
}

// maxBoot bounds what is kept of a start.
const maxBoot = 16 << 10

// Read implements hil.Port.
func (l *lent) Read(p []byte) (int, error) {
	n, err := l.Port.Read(p)
	if room := maxBoot - len(l.boot); room > 0 {
		l.boot = append(l.boot, p[:min(n, room)]...)
	}
	l.check(err)
	return n, err
}

// Write implements hil.Port.
func (l *lent) Write(p []byte) (int, error) {
	n, err := l.Port.Write(p)
	l.check(err)
	return n, err
}

// SetLines implements hil.Port.
func (l *lent) SetLines(dtr, rts bool) error {
	if rts && !dtr {
		l.boot = l.boot[:0] // the chip starts anew
	}
	err := l.Port.SetLines(dtr, rts)
	l.check(err)
	return err
}

func (l *lent) check(err error) {
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, hil.ErrNoLines) {
		l.failed = true
	}
}

// Close implements hil.Port.
func (l *lent) Close() error {
	l.b.console.Write(l.boot)
	l.boot = nil
	if l.failed {
		l.b.drop(l.Port)
		return nil
	}
	return l.Port.SetBaud(hil.DefaultBaud)
}

// provision changes the configuration in the board's flash.
func (b *Board) provision(ctx context.Context, args []string) error {
	if len(args) == 0 && b.cfg.Settings == nil {
		return fmt.Errorf("provision: this bench has no settings of its own: %w", ErrNotHere)
	}
	return b.flasher(func(f *flash.Flasher) error {
		_, err := f.EditNVS(ctx, flash.DefaultNVS, func(s *nvs.Store) error {
			// Missing and wrong keys are what provisioning is there to mend.
			cfg, _ := boardcfg.Read(s)
			if len(args) == 0 {
				cfg = *b.cfg.Settings
			}
			for _, a := range args {
				if err := setting(&cfg, a); err != nil {
					return err
				}
			}
			return cfg.Write(s)
		})
		return err
	})
}

// setting applies key=value. Errors do not hold the value, which may be secret.
func setting(cfg *boardcfg.Config, arg string) (err error) {
	key, value, _ := strings.Cut(arg, "=")
	switch key {
	case boardcfg.KeySSID:
		cfg.SSID = value
	case boardcfg.KeyPassword:
		cfg.Password = value
	case boardcfg.KeyHost:
		cfg.Host = value
	case boardcfg.KeyPort:
		var n uint64
		n, err = strconv.ParseUint(value, 10, 16)
		cfg.Port = uint16(n)
	case boardcfg.KeyPath:
		cfg.Path = value
	case boardcfg.KeyToken:
		cfg.Token = value
	case boardcfg.KeyCA:
		cfg.CA = ""
		if value != "" {
			var pem []byte
			pem, err = os.ReadFile(value)
			cfg.CA = string(pem)
		}
	case boardcfg.KeyInterval:
		cfg.Interval, err = time.ParseDuration(value)
	case boardcfg.KeyCrop:
		cfg.Crop, err = boardcfg.ParseCrop(value)
	case boardcfg.KeyName:
		cfg.Name = value
	default:
		return cli.Hint(fmt.Errorf("unknown setting %q", key), "the settings are ssid, password, host, port, path, token, ca (a file), interval (2s), crop and name")
	}
	if err != nil {
		return fmt.Errorf("setting %q: not of the right form", key)
	}
	return nil
}
