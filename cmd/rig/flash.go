package main

import (
	"context"

	"porthole/hil/flash"
	"porthole/internal/cli"
	"porthole/internal/espimage"
)

type flashCmd struct {
	Port  string   `arg:"" placeholder:"PORT" help:"Serial port: a device, usb:VID:PID, rfc2217://HOST:PORT, sim:FILE; see rig ports."`
	Files []string `arg:"" name:"place=file" help:"What goes where: 0x10000=app.bin, or a partition: app0=app.bin. A file alone is a merged image."`

	Mode  string `name:"flash-mode" default:"keep" enum:"keep,qio,qout,dio,dout" help:"Patch this mode into the bootloader."`
	Freq  string `name:"flash-freq" default:"keep" enum:"keep,20m,26m,40m,80m" help:"Patch this frequency into the bootloader."`
	Size  string `name:"flash-size" default:"keep" enum:"keep,1MB,2MB,4MB,8MB,16MB" help:"Patch this size into the bootloader."`
	Force bool   `help:"Write images that look wrong for this chip or place."`

	flasherFlags `embed:""`
}

// Help is the long text of rig flash --help.
func (c *flashCmd) Help() string {
	return `Writes the sectors that differ, compares, and restarts the board. Nothing is
uploaded to the chip but the files; an unchanged file costs a moment. If the
line is bad, it goes on at a lower rate or after a reset by itself. Ctrl-C
leaves the chip in reset; the same command then goes on with what is missing.

  rig flash /dev/ttyUSB0 0x1000=boot.bin 0x8000=partitions.bin 0x10000=app.bin
  rig flash usb:10c4:ea60 app0=app.bin
  rig flash rfc2217://127.0.0.1:2217 merged.bin`
}

func (c *flashCmd) Run(ctx context.Context, std cli.IO) error {
	files, err := loadFiles(c.Files)
	if err != nil {
		return err
	}
	f, d, err := c.flasher(c.Port, std)
	if err != nil {
		return err
	}
	report, err := f.Write(ctx, files, flash.WriteOptions{Settings: c.settings(), Force: c.Force})
	if err != nil {
		return d.failed(err)
	}
	d.report("wrote", report)
	return nil
}

// settings is what is patched into the bootloader, nil for nothing.
func (c *flashCmd) settings() *espimage.FlashSettings {
	s := espimage.KeepAll
	if m, ok := map[string]espimage.FlashMode{"qio": espimage.QIO, "qout": espimage.QOUT, "dio": espimage.DIO, "dout": espimage.DOUT}[c.Mode]; ok {
		s.Mode = m
	}
	if f, ok := map[string]espimage.FlashFreq{"20m": espimage.Freq20M, "26m": espimage.Freq26M, "40m": espimage.Freq40M, "80m": espimage.Freq80M}[c.Freq]; ok {
		s.Freq = f
	}
	for size := espimage.Size1MB; size <= espimage.Size16MB; size++ {
		if c.Size == size.String() {
			s.Size = size
		}
	}
	if s == espimage.KeepAll {
		return nil
	}
	return &s
}
