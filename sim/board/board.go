// Package board is the serial side of the simulated ESP32: a board that real
// flashers can flash. It is wire-level: it obeys the reset lines, speaks the
// protocols of the ROM loader and of the flasher stubs, keeps a NOR flash and
// starts a Program from what was written. It executes no Xtensa code.
//
//	host side                     board                        far side
//	Wire.Write  ─▶ line, faults ─▶ ROM loader ┐
//	Wire.Read   ◀─ line, faults ◀─ stub       ├─ registers, RAM, Flash
//	Wire.SetLines ─▶ EN, IO0 ────▶ reset      │
//	                               Program ───┘  buttons, power, shutoff
//
// A Board owns no goroutine while it is idle. Inputs (bytes, lines, buttons) act
// in the goroutine that brings them, everything later hangs on one timer; a lock
// makes it one event loop. Only a Program has a goroutine, from reset to reset.
// All time is that of package time, so a board in a testing/synctest bubble lives
// in virtual time, and with the same seed and inputs takes the same course: its
// trace hash says whether it did.
package board

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"porthole/internal/bytequeue"
	"porthole/internal/esprom"
)

// DefaultEN is the default time from the release of EN to the sampling of the
// straps. Below 50 ms pyserial over RFC2217, which spends that long between two
// line changes, always boots the application (esp32-serial 3.4, 12).
const DefaultEN = 75 * time.Millisecond

// Limits of Config.EN.
const (
	MinEN = time.Millisecond
	MaxEN = time.Second
)

// ROMMode is how the ROM loader answers commands it does not know.
type ROMMode uint8

const (
	// ROMFast answers once, with the opcode of the request. All flashers then fall
	// back at once, where some wait 6 s for the genuine answer to end.
	ROMFast ROMMode = iota
	// ROMStrict answers as the silicon does: with the opcode of the previous
	// command, eight times if that was SYNC.
	ROMStrict
)

// A Config describes a board. The zero value is a WROVER-E with a 4 MB flash,
// erased, and the address 00:00:00:00:00:00.
type Config struct {
	Seed uint64 // of everything random: garbage, cut effects, delays of the stub
	Chip Chip   // zero: WROVERE with a zero address

	// Flash is the flash of the board, owned by it from now on; nil means 4 MB,
	// erased. FlashFile, if set, is where Save and Close write a changed flash.
	Flash     *Flash
	FlashFile string

	Strap uint8         // idle strapping pins; 0 means GPIO0, MTDO, GPIO5 high (0x13)
	EN    time.Duration // from the release of EN to the straps; 0 means DefaultEN
	ROM   ROMMode

	Latency bool // flash operations take the time of the datasheet
	Pace    bool // bytes take their time on the line, both ways
	// AutoDownload lets a SYNC that arrives while a program runs enter the ROM
	// loader: for hosts that cannot move reset lines (a PTY has none).
	AutoDownload bool

	Program Program // started from flash; nil: the chip idles after its banner
	RAMApp  Program // started by MEM_END outside stub space; nil: idles

	Faults Schedule // what goes wrong, and when

	// Trace gets every event in order, under the lock of the board: it must be
	// quick and must not call the board.
	Trace func(TraceEvent)
	Log   *slog.Logger // nil: discard
}

// Errors a caller may branch on.
var (
	ErrClosed    = errors.New("board is closed")
	ErrBusy      = errors.New("board is connected to another host")
	ErrUnplugged = errors.New("cable is unplugged")
	ErrReset     = errors.New("chip was reset")
)

// A Board is a simulated ESP32 board. Create it with New; it is powered and comes
// out of reset at once. Close it.
type Board struct {
	cfg   Config
	epoch time.Time
	wg    sync.WaitGroup // programs and the timer

	mu     sync.Mutex
	closed bool
	clock  clock
	at     time.Duration // board time of the event being handled
	rng    *rand.Rand
	trace  tracer
	faults injector

	// Power, lines and straps: lines.go.
	power, shutoff       bool
	dtr, rts             bool // asserted
	enButton, bootButton bool
	en, rising           bool   // EN is high; is on its way
	edge                 uint64 // counts EN edges; a pending rise checks it
	plugged              bool
	life                 uint64 // counts resets; pending events check it
	state                State
	strap                uint8
	reason               ResetReason
	railChanged          chan struct{}
	machine              *Machine // running, or still returning after a reset
	machineBusy          bool     // its goroutine has not ended
	startWhenEnded       func()
	hostBaud, chipBaud   int
	measured             bool // the ROM has locked to the host's rate
	wire                 *Wire
	rx                   []byte // received, not yet taken by the chip
	stalled              bool   // the line towards the chip is held
	pumping              bool
	rxFree, txFree       time.Duration // when the lines are idle again
	overrun, unheard     uint64
	muted                bool // struck, and about to be reset: says nothing more
	xonxoff              bool // a fault swallows 11 and 13
	soc                  *soc
	rom                  *rom
	stub                 *stub
	sniff                *sniffer
	flash                *Flash
	job                  *job
	busy                 bool
}

// New returns a running board.
func New(cfg Config) (*Board, error) {
	if cfg.EN == 0 {
		cfg.EN = DefaultEN
	}
	if cfg.EN < MinEN || cfg.EN > MaxEN {
		return nil, fmt.Errorf("create board: EN constant %v is outside %v..%v", cfg.EN, MinEN, MaxEN)
	}
	if cfg.Strap == 0 {
		cfg.Strap = strapIdle
	}
	if cfg.Strap&^strapModule != 0 {
		return nil, fmt.Errorf("create board: strap value %#x has bits above 0x20", cfg.Strap)
	}
	if cfg.Chip == (Chip{}) {
		cfg.Chip = WROVERE(esprom.MAC{})
	}
	if err := cfg.Chip.check(); err != nil {
		return nil, fmt.Errorf("create board: %w", err)
	}
	if cfg.Flash == nil {
		flash, err := NewFlash(nil, 4<<20)
		if err != nil {
			return nil, err
		}
		cfg.Flash = flash
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Board{
		cfg: cfg, epoch: time.Now(),
		rng:         rand.New(rand.NewPCG(cfg.Seed, 0x626f617264)),
		trace:       newTracer(cfg.Trace),
		power:       true,
		plugged:     true,
		state:       StateOff,
		hostBaud:    esprom.DefaultBaud,
		chipBaud:    esprom.DefaultBaud,
		railChanged: make(chan struct{}),
		life:        1,
		flash:       cfg.Flash,
	}
	b.soc = &soc{b: b}
	faults, err := newInjector(b, cfg.Faults)
	if err != nil {
		return nil, fmt.Errorf("create board: %w", err)
	}
	b.do(func() {
		b.faults = faults
		b.faults.start()
		b.setState(StateReset)
		b.linesChanged()
	})
	return b, nil
}

// do runs f as one step of the event loop: under the lock, after everything that
// is due. It does nothing on a closed board.
func (b *Board) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.runDue()
	f()
	b.runDue()
	b.arm()
}

// Close switches the board off, ends its program and waits for it, and saves a
// changed flash if there is a file for it. It must not be called by the program.
func (b *Board) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.runDue()
	b.cutPower()
	b.closed = true
	b.disarm()
	if b.wire != nil {
		b.wire.q.Close(ErrClosed)
		b.wire = nil
	}
	b.mu.Unlock()
	b.wg.Wait()
	return b.Save()
}

// Save writes a changed flash to Config.FlashFile, replacing the file in one step.
// Without a file it does nothing.
func (b *Board) Save() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cfg.FlashFile == "" || !b.flash.Dirty() {
		return nil
	}
	return b.flash.Save(b.cfg.FlashFile)
}

// ReadFlash copies flash content from off into p.
func (b *Board) ReadFlash(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flash.ReadAt(p, off)
}

// FlashSize is the size of the flash in bytes.
func (b *Board) FlashSize() int { return b.flash.Size() }

// A Status is a snapshot of a board.
type Status struct {
	State              State
	Reason             ResetReason // of the last start
	Strap              uint8       // as latched
	Resets             uint64      // since New
	DTR, RTS           bool        // asserted
	Power, Shutoff     bool
	HostBaud, ChipBaud int
	Connected          bool
	Overrun            uint64 // bytes lost because chip or host were too slow
	Unheard            uint64 // bytes the chip sent while no host was connected
	FaultsLeft         int    // faults that have not happened yet
}

// Status returns a snapshot.
func (b *Board) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.runDue()
		b.arm()
	}
	s := Status{
		State: b.state, Reason: b.reason, Strap: b.strap, Resets: b.faults.counts[OnReset],
		DTR: b.dtr, RTS: b.rts, Power: b.power, Shutoff: b.shutoff,
		HostBaud: b.hostBaud, ChipBaud: b.chipBaud,
		Connected: b.wire != nil, Overrun: b.overrun, Unheard: b.unheard,
		FaultsLeft: b.faults.left(),
	}
	if b.wire != nil {
		s.Overrun += b.wire.q.Dropped()
	}
	return s
}

// TraceHash is a hash over all events so far with their times: two boards with the
// same seed that were treated alike have the same one.
func (b *Board) TraceHash() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trace.hash
}

// Chip is the identity of the chip.
func (b *Board) Chip() Chip { return b.cfg.Chip }

func (b *Board) setState(s State) {
	if b.state == s {
		return
	}
	b.state = s
	b.note(TraceState, uint64(s), 0)
}

func (b *Board) note(kind TraceKind, x, y uint64) { b.trace.add(b.at, kind, x, y) }

// startProgram runs p until the next reset.
func (b *Board) startProgram(p Program, entry uint32) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	m := &Machine{
		b: b, ctx: ctx, cancel: func() { cancel(ErrReset) }, begun: b.at,
		reason: b.reason, strap: b.strap, entry: entry,
		input: bytequeue.New(consoleInput),
	}
	b.machine, b.machineBusy = m, true
	b.wg.Go(func() {
		p.Boot(ctx, m)
		b.programEnded(m)
	})
}

// programEnded lets a start go on that waited for the old program.
func (b *Board) programEnded(m *Machine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.machineBusy = false
	if b.closed {
		return
	}
	b.runDue()
	if start := b.startWhenEnded; start != nil {
		b.startWhenEnded = nil
		start()
	}
	b.runDue()
	b.arm()
}
