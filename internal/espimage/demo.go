package espimage

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
)

// Demo is what a demonstration application is made from. Its bytes look like a
// program to every tool that reads images, but no processor could run it: the
// simulated board does not execute code, it acts as the firmware would.
type Demo struct {
	Version string   // default "0.0.0-demo"
	Size    int      // aim in bytes, default 150 KB; at least that of the fixed parts
	Seed    uint64   // content of the code bytes
	ELF     [32]byte // digest in the descriptor; zero: one made from the code
}

// DemoProject is the project name in the descriptor of a demo application.
const DemoProject = "porthole"

const (
	demoIDF  = "v5.1.4"
	demoTime = "12:00:00"
	demoDate = "Jan  1 2025"

	demoRodata = 40 << 10
	demoDRAM   = 12 << 10
	demoIRAM   = 28 << 10
	demoText   = 68 << 10
)

// DemoBootloader gives a second-stage bootloader image of the usual three
// segments, with a bootloader descriptor.
func DemoBootloader() ([]byte, error) {
	desc, err := BootDescriptor{Version: 1, IDF: demoIDF, Built: demoDate + " " + demoTime}.Bytes()
	if err != nil {
		return nil, fmt.Errorf("build demo bootloader: %w", err)
	}
	data := filler(1, 6560)
	copy(data, desc)
	h := DefaultHeader(0x40080684)
	h.Freq = Freq80M
	return Build(h, []Segment{
		{Addr: 0x3FFF0030, Data: data},
		{Addr: 0x40078000, Data: filler(2, 15448)},
		{Addr: 0x40080400, Data: filler(3, 4324)},
	})
}

// DemoApp gives an application image of a version, with default size.
func DemoApp(version string) ([]byte, error) {
	return BuildDemo(Demo{Version: version})
}

// BuildDemo gives an application image with a descriptor and segments for
// mapped read-only data, RAM, instruction RAM and mapped code.
func BuildDemo(d Demo) ([]byte, error) {
	if d.Size > MaxSegmentSize-(1<<20) {
		return nil, fmt.Errorf("build demo application: size %d is above %d", d.Size, MaxSegmentSize-(1<<20))
	}
	// Whatever is asked beyond the fixed parts becomes code.
	text := filler(d.Seed<<3|4, max(demoText, d.Size-demoRodata-demoDRAM-demoIRAM-256))
	if d.ELF == [32]byte{} {
		d.ELF = sha256.Sum256(text)
	}
	desc, err := AppDescriptor{
		Version: cmp.Or(d.Version, "0.0.0-demo"), Project: DemoProject,
		Time: demoTime, Date: demoDate, IDF: demoIDF, ELF: d.ELF,
	}.Bytes()
	if err != nil {
		return nil, fmt.Errorf("build demo application: %w", err)
	}
	rodata := filler(d.Seed<<3|1, demoRodata)
	copy(rodata, desc)
	segments, err := Arrange([]Segment{
		{Addr: dromLow + 0x20, Data: rodata},
		{Addr: 0x3FFBDB60, Data: filler(d.Seed<<3|2, demoDRAM)},
		{Addr: 0x40080000, Data: filler(d.Seed<<3|3, demoIRAM)},
		{Addr: iromLow + 0x20, Data: text},
	})
	if err != nil {
		return nil, fmt.Errorf("build demo application: %w", err)
	}
	h := DefaultHeader(0x400812A4)
	h.Freq = Freq80M
	return Build(h, segments)
}

// filler is deterministic and compresses about as well as code does: a small
// set of words in random order.
func filler(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0xE9))
	var words [512][3]byte
	for i := range words {
		v := rng.Uint32()
		words[i] = [3]byte{byte(v), byte(v >> 8), byte(v >> 16)}
	}
	out := make([]byte, 0, n+2)
	for len(out) < n {
		w := words[min(rng.IntN(len(words)), rng.IntN(len(words)))]
		out = append(out, w[:]...)
	}
	return out[:n]
}
