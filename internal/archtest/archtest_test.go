package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Imports    []string // without those of tests
	Standard   bool
	Module     *struct{ Path string }
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,Standard,Module"}, args...)...)
	cmd.Dir = "../.."
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v\n%s", args, err, errs.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// TestArrows holds every import inside the module against the layout.
func TestArrows(t *testing.T) {
	for _, p := range list(t, "./...") {
		from := strings.TrimPrefix(p.ImportPath, "porthole/")
		rule, ok := ruleFor(from)
		if !ok {
			t.Errorf("package %s is in no layer: add it to the layout in archtest.go and to ARCHITECTURE.md", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, "porthole/")
			if !ours || slices.ContainsFunc(rule.may, func(pattern string) bool { return matches(pattern, to) }) {
				continue
			}
			t.Errorf("%s must not import %s: %s", from, to, rule.why)
		}
	}
}

// TestDependencies holds the modules that each binary links against its budget.
func TestDependencies(t *testing.T) {
	for _, b := range budgets {
		t.Run(b.binary, func(t *testing.T) {
			linked := make(map[string]string) // module → one package of it
			for _, p := range list(t, "-deps", "./"+b.binary) {
				if !p.Standard && p.Module != nil && p.Module.Path != "porthole" {
					linked[p.Module.Path] = p.ImportPath
				}
			}
			for module, via := range linked {
				if _, ok := b.modules[module]; !ok {
					t.Errorf("%s links module %s (package %s), which its budget does not name: %s", b.binary, module, via, b.why)
				}
			}
			for module := range b.modules {
				if _, ok := linked[module]; !ok {
					t.Errorf("%s no longer links %s: take it out of the budget", b.binary, module)
				}
			}
		})
	}
}

// TestForbidden proves that the rules can fail.
func TestForbidden(t *testing.T) {
	for _, tt := range []struct{ from, to string }{
		{"sim", "hil"}, {"hil", "sim"}, {"sim", "server"}, {"server", "sim"}, {"server", "loadtest"},
		{"server", "internal/scene"}, {"sim", "sim/board"}, {"tui", "server"}, {"internal/frame", "server"}, {"cmd/porthole", "sim"},
	} {
		rule, ok := ruleFor(tt.from)
		if ok && slices.ContainsFunc(rule.may, func(pattern string) bool { return matches(pattern, tt.to) }) {
			t.Errorf("the layout lets %s import %s", tt.from, tt.to)
		}
	}
}
