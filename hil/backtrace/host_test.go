package backtrace

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// compile builds testdata/inline.cpp with the machine's own compiler.
func compile(t *testing.T, flags ...string) (path string) {
	t.Helper()
	gxx, err := exec.LookPath("g++")
	if err != nil {
		t.Fatalf("%v; make deps installs it", err)
	}
	source, err := filepath.Abs("testdata/inline.cpp")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "inline")
	args := append([]string{"-O2", "-o", path, source}, flags...)
	if out, err := exec.CommandContext(t.Context(), gxx, args...).CombinedOutput(); err != nil {
		t.Fatalf("g++ %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return path
}

// marks gives the addresses of the labels that MARK leaves, and the lines of the
// comments that begin with @.
func marks(t *testing.T, path string) (addrs map[string]uint64, lines map[string]int) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	addrs, lines = map[string]uint64{}, map[string]int{}
	for _, s := range symbols {
		if name, ok := strings.CutPrefix(s.Name, "mark_"); ok {
			addrs[name] = s.Value
		}
	}
	source, err := os.ReadFile("testdata/inline.cpp")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(source)) {
		n++
		if _, name, ok := strings.Cut(line, "// @"); ok {
			lines[strings.TrimSpace(name)] = n
		}
	}
	return addrs, lines
}

// TestHostProgram: what real compilers write for inlined calls is decoded, in
// both versions of DWARF, packed or not.
func TestHostProgram(t *testing.T) {
	for _, flags := range [][]string{
		{"-g", "-gdwarf-5"}, {"-g", "-gdwarf-4"}, {"-g", "-gdwarf-5", "-gz"}, {"-g", "-gdwarf-3"},
		{"-g", "-gdwarf-4", "-ffunction-sections", "-Wl,--gc-sections", "-no-pie"}, {"-g", "-flto"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			path := compile(t, flags...)
			p, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Debug() {
				t.Fatal("debug information was not read")
			}
			addrs, lines := marks(t, path)
			for _, c := range []struct {
				mark  string
				calls []string // function@line, innermost first
			}{
				{"leaf", []string{"camera::Sensor::Read@leaf", "camera::(anonymous namespace)::Check@check", "camera::Driver::Grab@grab"}},
				{"middle", []string{"camera::(anonymous namespace)::Check@middle", "camera::Driver::Grab@grab"}},
				{"outer", []string{"camera::Driver::Grab@outer"}},
				{"lambda", []string{"app_main::(unnamed)::operator()@lambda"}},
				{"generic", []string{"camera::Twice<int>@generic"}},
			} {
				addr, ok := addrs[c.mark]
				if !ok {
					t.Fatalf("the compiler dropped mark %q", c.mark)
				}
				var got, want []string
				for _, f := range p.Lookup(addr).Frames {
					got = append(got, fmt.Sprintf("%s %s:%d", f.Func, filepath.Base(f.File), f.Line))
				}
				for _, call := range c.calls {
					name, at, _ := strings.Cut(call, "@")
					want = append(want, fmt.Sprintf("%s inline.cpp:%d", name, lines[at]))
				}
				if strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("%s is\n%s, want\n%s", c.mark, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			if flags[len(flags)-1] != "-flto" { // where addr2line knows no file names
				compareAddr2line(t, p, path)
			}
		})
	}
}

// TestStripped: without debug information the symbols are left, without symbols
// nothing, which is an error that says so.
func TestStripped(t *testing.T) {
	path := compile(t)
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Debug() {
		t.Error("debug information out of nowhere")
	}
	addrs, _ := marks(t, path)
	if got, want := short(p.Lookup(addrs["leaf"])), "code < camera::Driver::Grab"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	path = compile(t, "-s")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "stripped") {
		t.Errorf("a stripped program: %v", err)
	}
}

// compareAddr2line holds every byte of code with debug information against
// binutils.
func compareAddr2line(t *testing.T, p *Program, path string) {
	t.Helper()
	tool, err := exec.LookPath("addr2line")
	if err != nil {
		t.Log("no addr2line on this machine: not compared")
		return
	}
	var addrs []uint64
	var in bytes.Buffer
	for _, r := range p.info.ranges {
		for addr := r.low; addr < r.high; addr++ {
			addrs = append(addrs, addr)
			fmt.Fprintf(&in, "0x%x\n", addr)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool, "-fia", "-e", path)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[uint64][]string{}
	var addr uint64
	var name string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if hex, ok := strings.CutPrefix(line, "0x"); ok && name == "" {
			addr, err = strconv.ParseUint(hex, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
		} else if name == "" {
			name = line
		} else {
			line, _, _ = strings.Cut(line, " (discriminator")
			theirs[addr] = append(theirs[addr], name+" "+filepath.Base(strings.Replace(line, ":?", ":0", 1)))
			name = ""
		}
	}
	differ, skipped := 0, 0
	for _, addr := range addrs {
		var ours []string
		for _, f := range p.Lookup(addr).Frames {
			name := f.Symbol
			if !strings.HasPrefix(name, "_Z") { // static: theirs leaves out the namespaces
				name = name[strings.LastIndex(name, ":")+1:]
			}
			ours = append(ours, fmt.Sprintf("%s %s:%d", name, filepath.Base(f.File), f.Line))
		}
		if slices.ContainsFunc(theirs[addr], func(s string) bool { return strings.HasPrefix(s, "mark_") }) {
			skipped++ // theirs prefers the label to the function
			continue
		}
		if len(ours) == 1 && strings.HasPrefix(ours[0], " ") {
			skipped++ // between functions, which theirs adds to the one before
			continue
		}
		if strings.Join(ours, "\n") != strings.Join(theirs[addr], "\n") {
			if differ++; differ <= 3 {
				t.Errorf("0x%x is\n%s, addr2line says\n%s", addr, strings.Join(ours, "\n"), strings.Join(theirs[addr], "\n"))
			}
		}
	}
	compared := len(addrs) - skipped
	if compared < 100 || skipped > compared/2 || differ > 0 {
		t.Errorf("%d of %d addresses differ from addr2line", differ, compared)
	}
	t.Logf("%d addresses compared with addr2line", compared)
}
