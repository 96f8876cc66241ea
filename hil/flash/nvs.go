package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"porthole/internal/espimage"
	"porthole/internal/nvs"
)

// DefaultNVS is the label of the partition that holds the configuration.
const DefaultNVS = "nvs"

// EditNVS reads the store in a partition, lets edit change it, and writes back
// what differs. Keys and namespaces that edit does not touch stay as they are;
// a store whose content edit leaves alone is not written at all. The content
// never reaches the log.
func (f *Flasher) EditNVS(ctx context.Context, label string, edit func(*nvs.Store) error) (Report, error) {
	began := time.Now()
	w := &writing{opt: WriteOptions{Force: true}}
	boot, err := f.run(ctx, func(ctx context.Context, s *session) error {
		defer func() { w.report.Chip, w.report.Troubles, w.report.Baud = s.chip, s.troubles, s.rates[s.rate] }()
		if err := s.chip.refusal(); err != nil {
			return err
		}
		p, err := s.nvsPartition(ctx, w, label)
		if err != nil {
			return err
		}
		data, err := s.editStore(ctx, p, edit)
		if err != nil || data == nil {
			return err
		}
		w.files = []File{{Name: label, Offset: int64(p.Offset), Data: data}}
		w.report.Size = int64(len(data))
		return w.job(ctx, s)
	})
	w.report.Boot, w.report.Took = boot, time.Since(began)
	return w.report, err
}

func (s *session) nvsPartition(ctx context.Context, w *writing, label string) (espimage.Partition, error) {
	t, err := s.readTable(ctx)
	if _, ok := errors.AsType[*espimage.TableError](err); ok {
		return espimage.Partition{}, &RefusedError{
			Why: fmt.Sprintf("the board has no partition table, so no place for %q: %v", label, err),
			Do:  "flash the board first: bootloader, partition table and application",
		}
	}
	if err != nil {
		return espimage.Partition{}, err
	}
	w.table = t
	p, ok := t.Label(label)
	switch {
	case !ok:
		return p, &RefusedError{Why: fmt.Sprintf("there is no partition %q", label), Do: "choose one with --partition: " + labels(t)}
	case p.Type != espimage.TypeData || p.Subtype != espimage.DataNVS:
		return p, &RefusedError{Why: fmt.Sprintf("partition %q is no key-value store", label), Do: "choose one with --partition"}
	case p.Size < nvs.MinSize || p.Size%nvs.PageSize != 0 || p.Offset%espimage.SectorSize != 0:
		return p, &RefusedError{Why: fmt.Sprintf("partition %q has 0x%x bytes at 0x%x, which no store can use", label, p.Size, p.Offset),
			Do: "use a partition table with at least 0x3000 bytes for it"}
	}
	return p, nil
}

// editStore gives the bytes of the changed store, nil if nothing changes.
func (s *session) editStore(ctx context.Context, p espimage.Partition, edit func(*nvs.Store) error) ([]byte, error) {
	s.meter.begin(Reading, p.Label, int64(p.Size))
	var have bytes.Buffer
	if err := s.readRegion(ctx, &have, int64(p.Offset), int64(p.Size)); err != nil {
		return nil, err
	}
	before, err := parseStore(have.Bytes())
	if err != nil {
		return nil, &RefusedError{
			Why: fmt.Sprintf("partition %q holds a store that cannot be kept: %v", p.Label, err),
			Do:  fmt.Sprintf("save it with rig read, then clear it with: rig erase PORT %s", p.Label),
		}
	}
	store, err := parseStore(have.Bytes())
	if err != nil {
		return nil, err
	}
	if err := edit(store); err != nil {
		return nil, err
	}
	if store.Equal(before) && len(before.Faults()) == 0 {
		return nil, nil
	}
	out, err := store.Bytes(int(p.Size))
	if err != nil {
		return nil, fmt.Errorf("build store for partition %q: %w", p.Label, err)
	}
	return out, nil
}

// parseStore reads a store; a full one is readable, and is written anew.
func parseStore(b []byte) (*nvs.Store, error) {
	s, err := nvs.Parse(b)
	if errors.Is(err, &nvs.Error{Kind: nvs.NoFreePage}) {
		return s, nil
	}
	return s, err
}
