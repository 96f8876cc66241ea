package main

import (
	"context"
	"fmt"
	"io"

	"porthole/hil/flash"
	"porthole/internal/cli"
)

type infoCmd struct {
	Port string `arg:"" placeholder:"PORT" help:"Serial port; see rig ports."`

	flasherFlags `embed:""`
}

func (c *infoCmd) Run(ctx context.Context, std cli.IO) error {
	f, d, err := c.flasher(c.Port, std)
	if err != nil {
		return err
	}
	info, err := f.Info(ctx)
	if err != nil {
		return d.failed(err)
	}
	d.clear()
	if c.JSON {
		d.line(jsonInfo(info))
		return nil
	}
	printInfo(std.Out, info)
	return nil
}

func printInfo(w io.Writer, i flash.Info) {
	fmt.Fprintf(w, "chip        %s %v, crystal %d MHz\n", i.Chip.Name(), i.Chip.Revision, i.Chip.Crystal)
	fmt.Fprintf(w, "MAC         %v\n", i.Chip.MAC)
	fmt.Fprintf(w, "flash       %d MB, id 0x%06x\n", i.Chip.FlashSize>>20, i.Chip.FlashID)
	fmt.Fprintf(w, "protection  %s\n", protection(i.Chip))
	if i.Bootloader != nil {
		fmt.Fprintf(w, "bootloader  IDF %s\n", cli.Printable(i.Bootloader.IDF))
	}
	if i.Table == nil {
		fmt.Fprintf(w, "partitions  none: %s\n", i.TableFault)
		return
	}
	apps := map[uint32]flash.AppInfo{}
	for _, a := range i.Apps {
		apps[a.Partition.Offset] = a
	}
	for n, p := range i.Table.Partitions {
		head := ""
		if n == 0 {
			head = "partitions"
		}
		fmt.Fprintf(w, "%-11s %-16s 0x%06x  0x%06x  %s%s\n", head, cli.Printable(p.Label), p.Offset, p.Size, p.Usage(), appText(apps[p.Offset]))
	}
}

func appText(a flash.AppInfo) string {
	text := ""
	if a.App != nil {
		text = fmt.Sprintf(": %s %s", cli.Printable(a.App.Project), cli.Printable(a.App.Version))
	}
	if a.Boots {
		text += " (boots)"
	}
	return text
}

func protection(c flash.Chip) string {
	text := ""
	if c.Encrypted {
		text = "flash encryption "
	}
	if c.SecureV1 {
		text += "secure boot v1 "
	}
	if c.SecureV2 {
		text += "secure boot v2 "
	}
	if text == "" {
		return "none"
	}
	return text + "(rig does not write such a chip)"
}

// infoLine is what --json prints.
type infoLine struct {
	Event      string          `json:"event"`
	Chip       string          `json:"chip"`
	Revision   string          `json:"revision"`
	MAC        string          `json:"mac"`
	CrystalMHz int             `json:"crystal_mhz"`
	FlashID    uint32          `json:"flash_id"`
	FlashSize  int64           `json:"flash_size"`
	Encrypted  bool            `json:"encrypted"`
	Secure     bool            `json:"secure_boot"`
	Partitions []partitionLine `json:"partitions,omitempty"`
	TableFault string          `json:"table_fault,omitempty"`
}

type partitionLine struct {
	Label   string `json:"label"`
	Type    uint8  `json:"type"`
	Subtype uint8  `json:"subtype"`
	Offset  uint32 `json:"offset"`
	Size    uint32 `json:"size"`
	Project string `json:"project,omitempty"`
	Version string `json:"version,omitempty"`
	Boots   bool   `json:"boots,omitempty"`
}

func jsonInfo(i flash.Info) infoLine {
	out := infoLine{
		Event: "info", Chip: i.Chip.Name(), Revision: i.Chip.Revision.String(), MAC: i.Chip.MAC.String(), CrystalMHz: i.Chip.Crystal,
		FlashID: i.Chip.FlashID, FlashSize: i.Chip.FlashSize, Encrypted: i.Chip.Encrypted, Secure: i.Chip.SecureV1 || i.Chip.SecureV2,
		TableFault: i.TableFault,
	}
	if i.Table == nil {
		return out
	}
	for _, p := range i.Table.Partitions {
		line := partitionLine{Label: p.Label, Type: p.Type, Subtype: p.Subtype, Offset: p.Offset, Size: p.Size}
		for _, a := range i.Apps {
			if a.Partition == p {
				line.Boots = a.Boots
				if a.App != nil {
					line.Project, line.Version = a.App.Project, a.App.Version
				}
			}
		}
		out.Partitions = append(out.Partitions, line)
	}
	return out
}
