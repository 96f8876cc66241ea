package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/hil/shutoff"
	"porthole/internal/boardcfg"
	"porthole/internal/cli"
)

// BoardConfig is what a Board needs. Open is required.
type BoardConfig struct {
	Name string
	// Open opens the board's port, and opens it again after it has vanished.
	Open func(ctx context.Context) (hil.Port, error)
	// Shutoff cuts the camera. The Board owns it; nil where there is none.
	Shutoff *shutoff.Switch
	// Admin is the address of the server's private side, "" where there is none;
	// Client reaches it, nil for the usual one. AdminToken is for a server that
	// asks for one.
	Admin      string
	AdminToken string
	Client     *http.Client
	// Public is the address of its public side, which waves go to, "" where it is
	// not known; PublicClient reaches it, nil for the usual one.
	Public       string
	PublicClient *http.Client
	// Demo is what "flash demo" writes; none makes the step impossible here.
	Demo []flash.File
	// Settings are what "provision" without settings writes; nil likewise.
	Settings *boardcfg.Config
	// Evidence adds to what is shown with a failure; may be nil.
	Evidence func() []string
}

// powerLease is how long the camera stays on when the bench dies without letting
// go of the pin. The bench renews it.
const powerLease = 15 * time.Second

// Board is the bench around a board that is reached over its serial port. It
// does not care whether that is simulated.
type Board struct {
	cfg     BoardConfig
	console Console
	life    context.Context
	end     context.CancelFunc
	work    sync.WaitGroup

	mu   sync.Mutex
	port hil.Port // nil while it is being opened again

	reading context.CancelFunc // ends the reader
	read    chan struct{}      // closed when it has ended
	holding context.CancelFunc // ends the renewing of the lease; may be nil
	held    chan struct{}
	notes   []string
}

var _ Bench = (*Board)(nil)

// OpenBoard opens the port, begins to read the console and switches the camera on.
func OpenBoard(ctx context.Context, cfg BoardConfig) (*Board, error) {
	b := &Board{cfg: cfg}
	if b.cfg.Client == nil {
		b.cfg.Client = http.DefaultClient
	}
	if b.cfg.PublicClient == nil {
		b.cfg.PublicClient = http.DefaultClient
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	port, err := cfg.Open(ctx)
	if err == nil {
		b.port = port
		b.startReading()
		if cfg.Shutoff != nil {
			err = b.power(true)
		}
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Name implements Bench.
func (b *Board) Name() string { return b.cfg.Name }

// Console implements Bench.
func (b *Board) Console() *Console { return &b.console }

// Truth implements Bench.
func (b *Board) Truth(ctx context.Context) (Truth, error) {
	if b.cfg.Admin == "" {
		return Truth{}, cli.Hint(errors.New("no server is known"), "give the server's private address, --server http://127.0.0.1:9100")
	}
	return AskTruth(ctx, b.cfg.Client, b.cfg.Admin, b.cfg.AdminToken)
}

// Evidence implements Bench.
func (b *Board) Evidence() []string {
	b.mu.Lock()
	lines := slices.Clone(b.notes)
	b.mu.Unlock()
	if b.cfg.Evidence != nil {
		lines = append(lines, b.cfg.Evidence()...)
	}
	return lines
}

// Close implements Bench.
func (b *Board) Close() error {
	b.release()
	var err error
	if b.cfg.Shutoff != nil {
		err = b.cfg.Shutoff.Close()
	}
	b.stopReading()
	b.end()
	b.work.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.port != nil {
		err = errors.Join(err, b.port.Close())
		b.port = nil
	}
	return err
}

// Do implements Bench.
func (b *Board) Do(ctx context.Context, st Step) error {
	switch st.Verb {
	case Reset:
		return b.reset(ctx)
	case Send:
		return b.send(st.Args[0] + "\r\n")
	case Power:
		return b.power(st.Args[0] == "on")
	case Flash:
		return b.flash(ctx, st.Args)
	case Provision:
		return b.provision(ctx, st.Args)
	case Wave:
		return b.wave(ctx)
	}
	return fmt.Errorf("%s: %w", st.Verb, ErrNotHere)
}

// resetHold is how long EN is held low.
const resetHold = 100 * time.Millisecond

func (b *Board) reset(ctx context.Context) error {
	port, err := b.current()
	if err != nil {
		return err
	}
	if err := port.SetLines(false, true); err != nil {
		return fmt.Errorf("reset board: %w", err)
	}
	err = sleep(ctx, resetHold)
	if lineErr := port.SetLines(false, false); lineErr != nil {
		return fmt.Errorf("release reset: %w", lineErr)
	}
	return err
}

func (b *Board) send(text string) error {
	port, err := b.current()
	if err != nil {
		return err
	}
	if _, err := port.Write([]byte(text)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// wave waves at the camera as a viewer of the page does.
func (b *Board) wave(ctx context.Context) error {
	if b.cfg.Public == "" {
		return cli.Hint(errors.New("no public side of the server is known"), "give its address, --public https://cam.example.org")
	}
	ctx, cancel := context.WithTimeout(ctx, truthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", strings.TrimSuffix(b.cfg.Public, "/")+"/wave", nil)
	if err != nil {
		return cli.Hint(fmt.Errorf("wave: %w", err), "--public takes an address like https://cam.example.org")
	}
	resp, err := b.cfg.PublicClient.Do(req)
	if err != nil {
		return cli.Hint(fmt.Errorf("wave: %w", err), "--public takes the public address of a server that runs")
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("wave: the server answered %s", resp.Status)
	}
	return nil
}

func (b *Board) current() (hil.Port, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.port == nil {
		return nil, errors.New("the port is gone")
	}
	return b.port, nil
}

// power cuts the camera or gives it back, under a lease that is renewed as long
// as the bench lives.
func (b *Board) power(on bool) error {
	if b.cfg.Shutoff == nil {
		return cli.Hint(shutoff.ErrNoPin, "give it with --pin and --safe, or write 'needs shutoff' into the scenario")
	}
	b.release()
	if !on {
		return b.cfg.Shutoff.Off()
	}
	if err := b.cfg.Shutoff.On(powerLease); err != nil {
		return err
	}
	var ctx context.Context
	ctx, b.holding = context.WithCancel(b.life)
	b.held = make(chan struct{})
	b.work.Go(func() {
		defer close(b.held)
		if err := b.cfg.Shutoff.Hold(ctx, powerLease); err != nil {
			b.note("the camera went off by itself: " + err.Error())
		}
	})
	return nil
}

// release ends the renewing.
func (b *Board) release() {
	if b.holding != nil {
		b.holding()
		<-b.held
		b.holding = nil
	}
}

func (b *Board) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, text)
}

func (b *Board) flash(ctx context.Context, args []string) error {
	files := b.cfg.Demo
	if args[0] != "demo" {
		files = nil
		for _, arg := range args {
			place, name, _ := strings.Cut(arg, "=")
			f := flash.File{Name: name}
			var err error
			if f.Offset, f.Partition, err = flash.ParsePlace(place); err != nil {
				return err
			}
			if f.Data, err = os.ReadFile(name); err != nil {
				return cli.Hint(fmt.Errorf("read file to flash: %w", err), "paths are relative to the folder that rig runs in")
			}
			files = append(files, f)
		}
	} else if len(files) == 0 {
		return cli.Hint(fmt.Errorf("flash demo: %w", ErrNotHere), "say what to flash to a real board with --firmware PLACE=FILE")
	}
	return b.flasher(func(f *flash.Flasher) error {
		_, err := f.Write(ctx, files, flash.WriteOptions{})
		return err
	})
}

// flasher lends the port to a flasher. What the board prints meanwhile is not of
// its console, but for what follows the last reset.
func (b *Board) flasher(work func(*flash.Flasher) error) error {
	b.stopReading()
	defer b.startReading()
	f, err := flash.New(flash.Config{Open: b.lend})
	if err != nil {
		return err
	}
	if err = work(f); err != nil {
		return cli.Hint(err, flash.HintOf(err))
	}
	return nil
}
