package shutoff

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/warthog618/go-gpiocdev"
	"periph.io/x/conn/v3/gpio"

	"porthole/internal/cli"
)

// consumer is the name that other users of the chip see.
const consumer = "porthole-shutoff"

// kernelLine is a Line of /dev/gpiochipN. Levels are physical: the kernel's own
// idea of active low is left out, for one inversion is enough.
type kernelLine struct {
	chip string
	name string // offset, or name of the line
	line *gpiocdev.Line
}

// KernelLine returns a line of a chip: of its device ("gpiochip0"), by offset or
// by the name that the board gives it ("GPIO17"). Nothing is opened yet.
func KernelLine(chip, line string) Line { return &kernelLine{chip: chip, name: line} }

func (l *kernelLine) Request(level gpio.Level) error {
	chip, offset, err := l.find()
	if err != nil {
		return err
	}
	defer chip.Close()
	// AsOutput puts the level into the request itself.
	line, err := chip.RequestLine(offset, gpiocdev.AsOutput(bit(level)), gpiocdev.WithConsumer(consumer))
	if err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return cli.Hint(fmt.Errorf("%w by %q", ErrBusy, l.user(chip, offset)), "end the other program, or rig power off")
		}
		return err
	}
	l.line = line
	return nil
}

func (l *kernelLine) find() (*gpiocdev.Chip, int, error) {
	chip, err := gpiocdev.NewChip(l.chip)
	if err != nil {
		return nil, 0, openHint(l.chip, err)
	}
	offset, err := strconv.Atoi(l.name)
	if err != nil {
		offset, err = chip.FindLine(l.name)
	}
	if err == nil && (offset < 0 || offset >= chip.Lines()) {
		err = fmt.Errorf("line %d of %d: %w", offset, chip.Lines(), gpiocdev.ErrInvalidOffset)
	}
	if err != nil {
		chip.Close()
		return nil, 0, cli.Hint(fmt.Errorf("find line %q: %w", l.name, err), "gpioinfo lists the lines of the chips")
	}
	return chip, offset, nil
}

func openHint(chip string, err error) error {
	err = fmt.Errorf("open chip %q: %w", chip, err)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return cli.Hint(err, "gpiodetect lists the chips; a kernel without any has no /dev/gpiochip*")
	case errors.Is(err, syscall.EACCES):
		return cli.Hint(err, "add yourself to the group that owns /dev/gpiochip* (gpio, on most systems) and log in again")
	}
	return cli.Hint(err, "gpiodetect lists the chips")
}

func (l *kernelLine) user(chip *gpiocdev.Chip, offset int) string {
	info, err := chip.LineInfo(offset)
	if err != nil || info.Consumer == "" {
		return "another program"
	}
	return info.Consumer
}

func (l *kernelLine) Set(level gpio.Level) error { return l.line.SetValue(bit(level)) }

func (l *kernelLine) Value() (gpio.Level, error) {
	v, err := l.line.Value()
	return v != 0, err
}

func (l *kernelLine) Close() error { return l.line.Close() }

// Look reads a line that nobody needs to hold, without changing its direction:
// what a released pin has come to. The user is whoever holds it now, in which
// case the level is not read.
func Look(chip, line string) (level gpio.Level, user string, err error) {
	l := kernelLine{chip: chip, name: line}
	c, offset, err := l.find()
	if err != nil {
		return gpio.Low, "", err
	}
	defer c.Close()
	info, err := c.LineInfo(offset)
	if err != nil {
		return gpio.Low, "", fmt.Errorf("look at line %q: %w", line, err)
	}
	if info.Used {
		return gpio.Low, l.user(c, offset), nil
	}
	req, err := c.RequestLine(offset, gpiocdev.AsIs, gpiocdev.WithConsumer(consumer))
	if err != nil {
		return gpio.Low, "", fmt.Errorf("look at line %q: %w", line, err)
	}
	defer req.Close()
	v, err := req.Value()
	return v != 0, "", err
}

func bit(l gpio.Level) int {
	if l == gpio.High {
		return 1
	}
	return 0
}
