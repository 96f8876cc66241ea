package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"porthole/hil/flash"
	"porthole/internal/cli"
	"porthole/internal/espimage"
)

// maxImage is the largest file that is read: the largest flash there is.
const maxImage = 64 << 20

// loadFiles reads arguments of the form PLACE=FILE, or FILE for a merged image.
func loadFiles(args []string) ([]flash.File, error) {
	var files []flash.File
	for _, arg := range args {
		f, err := loadFile(arg)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

const placeHint = "PLACE=FILE, for example 0x10000=app.bin or app0=app.bin; a file alone is a merged image that begins at 0x0"

func loadFile(arg string) (flash.File, error) {
	place, path, placed := strings.Cut(arg, "=")
	if !placed {
		path = arg
	}
	f := flash.File{Name: path}
	if placed {
		var err error
		if f.Offset, f.Partition, err = flash.ParsePlace(place); err != nil {
			return f, cli.Usage(cli.Hint(err, placeHint))
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return f, cli.Hint(fmt.Errorf("read image: %w", err), placeHint)
	}
	if !info.Mode().IsRegular() || info.Size() > maxImage {
		return f, cli.Hint(fmt.Errorf("read image %q: not a file of at most 64 MB", path), placeHint)
	}
	if f.Data, err = os.ReadFile(path); err != nil {
		return f, fmt.Errorf("read image: %w", err)
	}
	if !placed && !isMerged(f.Data) {
		return f, cli.Usage(cli.Hint(fmt.Errorf("%q has no place, and is no merged image: it has no bootloader at 0x1000", path), placeHint))
	}
	return f, nil
}

// isMerged says whether b begins at 0x0 and has a bootloader in its place.
func isMerged(b []byte) bool {
	return len(b) > espimage.BootloaderOffset && b[espimage.BootloaderOffset] == espimage.Magic && b[0] != espimage.Magic
}

const regionHint = "OFFSET:SIZE such as 0x9000:0x5000, the name of a partition, or all"

// parseRegion reads a region of the flash as a person writes it.
func parseRegion(text string) (flash.Region, error) {
	if text == "all" {
		return flash.Region{All: true}, nil
	}
	at, size, ok := strings.Cut(text, ":")
	if !ok {
		_, label, err := flash.ParsePlace(text)
		if err != nil || label == "" {
			return flash.Region{}, cli.Usage(cli.Hint(fmt.Errorf("region %.40q has no size and is no name", text), regionHint))
		}
		return flash.Region{Partition: label}, nil
	}
	off, err1 := strconv.ParseUint(at, 0, 32)
	n, err2 := strconv.ParseUint(size, 0, 32)
	if err1 != nil || err2 != nil || n == 0 {
		return flash.Region{}, cli.Usage(cli.Hint(fmt.Errorf("region %.40q is not OFFSET:SIZE", text), regionHint))
	}
	return flash.Region{Offset: int64(off), Size: int64(n)}, nil
}
