package main

import (
	"context"
	"fmt"

	"porthole/internal/cli"
)

type verifyCmd struct {
	Port  string   `arg:"" placeholder:"PORT" help:"Serial port; see rig ports."`
	Files []string `arg:"" name:"place=file" help:"What should be where, as for rig flash."`

	flasherFlags `embed:""`
}

// verifyLine is one file of --json.
type verifyLine struct {
	Event   string  `json:"event"`
	File    string  `json:"file"`
	Offset  int64   `json:"offset"`
	Same    bool    `json:"same"`
	Patched bool    `json:"flash_settings_patched,omitempty"`
	Sectors []int64 `json:"differing_sectors,omitempty"`
}

func (c *verifyCmd) Run(ctx context.Context, std cli.IO) error {
	files, err := loadFiles(c.Files)
	if err != nil {
		return err
	}
	f, d, err := c.flasher(c.Port, std)
	if err != nil {
		return err
	}
	results, err := f.Verify(ctx, files)
	if err != nil {
		return d.failed(err)
	}
	d.clear()
	differ := 0
	for _, r := range results {
		if !r.Same {
			differ++
		}
		if c.JSON {
			d.line(verifyLine{"compared", r.File.Name, r.File.Offset, r.Same, r.Patched, r.Sectors})
			continue
		}
		text := "same"
		switch {
		case r.Patched:
			text = "same, but for the flash settings in its header"
		case !r.Same:
			text = fmt.Sprintf("DIFFERS in %d sectors, the first at 0x%x", len(r.Sectors), r.Sectors[0])
		}
		fmt.Fprintf(std.Out, "0x%06x  %s  %s\n", r.File.Offset, cli.Printable(r.File.Name), text)
	}
	if differ > 0 {
		return cli.Hint(fmt.Errorf("%d of %d files differ from the flash", differ, len(results)), "write them with: rig flash")
	}
	return nil
}
