package board

import (
	"context"
	"errors"
	"fmt"
	"time"

	"porthole/internal/console"
	"porthole/internal/espimage"
)

// bootLog is the console before the application runs. It keeps the board's own
// time, in which printing takes as long as the line does at 115,200 baud and
// reading flash as long as flash does; the times in the log are this time. Real
// time follows it, divided by the speed.
type bootLog struct {
	ctx context.Context
	m   *Machine
	cfg *FirmwareConfig
	t   time.Duration
}

// rawf prints text as it is.
func (l *bootLog) rawf(format string, args ...any) {
	l.print(fmt.Sprintf(format, args...))
}

// logf prints a log line of the bootloader.
func (l *bootLog) logf(level console.Level, tag, format string, args ...any) {
	line := console.LogLine{
		Level: level, At: l.t, Tag: tag, Text: fmt.Sprintf(format, args...), Color: !l.cfg.Plain,
	}
	l.print(line.String() + "\r\n")
}

func (l *bootLog) print(text string) {
	l.catchUp()
	// A board that is gone takes no text; ctx tells those who care.
	_, _ = l.m.Write([]byte(text))
	l.t += time.Duration(len(text)) * bitsPerByte * time.Second / consoleBaud
}

// work lets the board be busy.
func (l *bootLog) work(d time.Duration) { l.t += d }

// until lets the board's time pass to t.
func (l *bootLog) until(t time.Duration) {
	l.t = max(l.t, t)
	l.catchUp()
}

// finish ends this life of the chip. However fast the board is, a loop of resets
// leaves this machine time for something else.
func (l *bootLog) finish(reason ResetReason) {
	l.catchUp()
	if d := shortestLife - l.m.Uptime(); d > 0 {
		sleep(l.ctx, d)
	}
	l.m.Reset(reason)
}

const shortestLife = 5 * time.Millisecond

// catchUp waits until real time has reached the board's.
func (l *bootLog) catchUp() {
	if d := scale(l.t, l.cfg.Speed) - l.m.Uptime(); d > 0 {
		sleep(l.ctx, d)
	}
}

func (l *bootLog) alive() bool { return l.ctx.Err() == nil }

func scale(d time.Duration, speed float64) time.Duration {
	return time.Duration(float64(d) / speed)
}

func imageFault(err error) (*espimage.Error, bool) {
	return errors.AsType[*espimage.Error](err)
}
