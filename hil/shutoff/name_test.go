package shutoff_test

import (
	"context"
	"errors"
	"testing"

	"porthole/hil"
	"porthole/hil/shutoff"
	"porthole/internal/cli"
)

func TestParseName(t *testing.T) {
	for _, tt := range []struct {
		text string
		want shutoff.Name
	}{
		{"gpiochip:gpiochip0:17", shutoff.Name{Driver: "gpiochip", Chip: "gpiochip0", Line: "17"}},
		{"gpiochip:/dev/gpiochip4:GPIO17", shutoff.Name{Driver: "gpiochip", Chip: "/dev/gpiochip4", Line: "GPIO17"}},
		{"rts:/dev/ttyUSB1", shutoff.Name{Driver: "rts", Port: "/dev/ttyUSB1"}},
		{"rts:usb:0403:6001:A1", shutoff.Name{Driver: "rts", Port: "usb:0403:6001:A1"}},
		{"rts:rfc2217://bench:2217", shutoff.Name{Driver: "rts", Port: "rfc2217://bench:2217"}},
		{"periph:GPIO17", shutoff.Name{Driver: "periph", Pin: "GPIO17"}},
		{"none", shutoff.Name{Driver: "none"}},
	} {
		got, err := shutoff.ParseName(tt.text)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("%q: %+v %q, %v", tt.text, got, got, err)
		}
	}
	for _, bad := range []string{"", "gpiochip", "gpiochip:", "gpiochip:x", "gpiochip:x:", "gpiochip::1", "gpiochip:a:1:2", "rts", "rts:", "periph:", "none:", "none:x", "led:3"} {
		if got, err := shutoff.ParseName(bad); err == nil || cli.HintOf(err) == "" {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func TestOpen(t *testing.T) {
	busy := errors.New("busy")
	open := func(context.Context, string) (hil.Port, error) { return nil, busy }
	if _, err := shutoff.Open(t.Context(), shutoff.Name{Driver: "rts", Port: "x"}, open); !errors.Is(err, busy) {
		t.Errorf("rts: %v", err)
	}
	pin, err := shutoff.Open(t.Context(), shutoff.Name{Driver: "none"}, open)
	if err != nil {
		t.Fatal(err)
	}
	if err := pin.Out(true); !errors.Is(err, shutoff.ErrNoPin) {
		t.Errorf("none: %v", err)
	}
	if _, err := pin.Level(); !errors.Is(err, shutoff.ErrNoPin) {
		t.Errorf("none: %v", err)
	}
	if err := errors.Join(pin.Fits(true), pin.PWM(0, 0)); err == nil || pin.String() != "none" || pin.Name() != "" || pin.Halt() != nil {
		t.Errorf("none: %v, %q", err, pin)
	}
	// Where there is no such chip, the error says what to do.
	pin, err = shutoff.Open(t.Context(), shutoff.Name{Driver: "gpiochip", Chip: "no-such-chip", Line: "0"}, open)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeLow}); err == nil || cli.HintOf(err) == "" {
		t.Errorf("no chip: %v", err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"gpiochip:gpiochip0:17", "rts:rfc2217://[::1]:1", "periph:P1_3", "none", "gpiochip:::", "rts:\x1b[2J"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := shutoff.ParseName(s)
		if err != nil {
			return
		}
		if again, err := shutoff.ParseName(n.String()); err != nil || again != n {
			t.Errorf("%q: %+v, again %+v, %v", s, n, again, err)
		}
	})
}
