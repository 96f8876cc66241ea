// Package archtest holds the layout of the project as data, and its tests hold
// the code against it: which package may import which, and which modules each
// binary may link, each with its reason. A dependency that nobody argued for
// fails the build.
package archtest

import "strings"

// layer is a group of packages with the same rights.
type layer struct {
	packages []string // patterns: a path, or a path with /... at its end
	may      []string // what they may import, patterns too
	why      string   // shown when they import something else
}

// layout is the map of the project. Arrows go down only; the first layer that
// names a package decides.
var layout = []layer{
	{
		packages: []string{"cmd/porthole"},
		may:      []string{"server", "server/delta", "server/picture", "server/reservoir", "internal/certs", "internal/cli", "internal/devca", "internal/doctor", "internal/frame", "internal/event", "internal/quality", "internal/remote", "internal/sd"},
		why:      "the deployed binary links the server and nothing of the bench",
	},
	{
		packages: []string{"cmd/rig"},
		may:      []string{"server", "server/delta", "server/picture", "server/web", "sim", "sim/board", "hil", "hil/...", "loadtest", "tui", "internal/..."},
		why:      "the bench binary wires the parts together",
	},
	{
		packages: []string{"server"},
		may:      []string{"server/adminweb", "server/web", "server/delta", "server/picture", "server/reservoir", "internal/event", "internal/frame", "internal/metrics", "internal/wire", "internal/nowait"},
		why:      "the server is deployed: no bench code, no simulator, no load test",
	},
	{
		packages: []string{"server/picture"},
		may:      []string{"internal/dct", "internal/frame", "server/webp"},
		why:      "pictures know their formats, not the server",
	},
	{
		packages: []string{"server/..."},
		may:      []string{"internal/dct", "internal/frame"},
		why:      "parts of the server do not know the server",
	},
	{
		packages: []string{"sim"},
		may:      []string{"internal/event", "internal/frame", "internal/scene", "internal/wire"},
		why:      "the network side of the simulated board knows the wire only: never the server, the harness or the serial side",
	},
	{
		packages: []string{"sim/board"},
		may: []string{"sim", "internal/boardcfg", "internal/bytequeue", "internal/console", "internal/espimage", "internal/esprom", "internal/event",
			"internal/nvs", "internal/rfc2217", "internal/slip", "internal/wire"},
		why: "the serial side of the simulated board shares its vocabulary with the harness, but not the harness",
	},
	{
		packages: []string{"hil", "hil/..."},
		may: []string{"hil", "hil/...", "internal/boardcfg", "internal/bytequeue", "internal/console", "internal/espimage", "internal/esprom", "internal/event",
			"internal/nvs", "internal/rfc2217", "internal/slip", "internal/cli"},
		why: "the harness treats a simulated board like a real one, over the cable",
	},
	{
		packages: []string{"loadtest"},
		may:      []string{"internal/cli", "internal/event", "internal/scene", "server/delta"},
		why:      "viewers know the public side of a server only, and decode what it sends",
	},
	{
		packages: []string{"tui"},
		may:      []string{"internal/event"},
		why:      "the dashboard sees events and sends commands",
	},
	{
		packages: []string{"deploy"}, // tests only
		why:      "files for operators, and the tests that try them",
	},
	{
		packages: []string{"internal/conformance"}, // tests only: tests may cross
		may:      []string{"sim/board", "internal/..."},
		why:      "the conformance suite flashes the simulated board with foreign tools",
	},
	{
		packages: []string{"internal/servebench"}, // a program for make bench-serve only
		may:      []string{"server", "server/picture", "internal/..."},
		why:      "the comparison of servers runs ours like the others, as a process",
	},
	{
		packages: []string{"internal/..."},
		may:      []string{"internal/..."},
		why:      "the vocabulary knows nobody who speaks it",
	},
}

// ruleFor returns the layer of a package, given by its path inside the module.
func ruleFor(path string) (layer, bool) {
	for _, l := range layout {
		for _, p := range l.packages {
			if matches(p, path) {
				return l, true
			}
		}
	}
	return layer{}, false
}

// matches reports whether a path is the pattern or, where the pattern ends in
// /..., lies below it.
func matches(pattern, path string) bool {
	if below, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(path, below)
	}
	return pattern == path
}

// budget is the list of modules that a binary links, with the reason for each.
type budget struct {
	binary  string
	modules map[string]string
	why     string
}

var budgets = []budget{
	{
		binary: "cmd/porthole",
		modules: map[string]string{
			"github.com/alecthomas/kong": "flags, environment and help from one struct; no dependencies of its own",
			"golang.org/x/crypto":        "ACME: accounts, orders and challenges, kept by the Go project",
			"golang.org/x/net":           "of x/crypto: international names",
			"golang.org/x/text":          "of x/net: international names",
		},
		why: "what is deployed stays small; argue for a new module here before you add it",
	},
	{
		binary: "cmd/rig",
		modules: map[string]string{
			"github.com/alecthomas/kong":              "flags, environment and help from one struct",
			"github.com/tsenart/vegeta/v12":           "the load generator that the load test is built on",
			"github.com/influxdata/tdigest":           "of vegeta: latency metrics of its own report",
			"github.com/mailru/easyjson":              "of vegeta: its JSON results",
			"github.com/josharian/intern":             "of easyjson",
			"github.com/rs/dnscache":                  "of vegeta: DNS caching",
			"golang.org/x/net":                        "of vegeta: HTTP/2",
			"golang.org/x/text":                       "of x/net: international names",
			"golang.org/x/sys":                        "pseudo-terminals and serial port control, which the syscall package lacks",
			"golang.org/x/sync":                       "of dnscache: single flight",
			"github.com/HdrHistogram/hdrhistogram-go": "latency and age histograms that merge exactly",
			"charm.land/bubbletea/v2":                 "the dashboard's terminal: input, resizing, drawing only what changed",
			"github.com/charmbracelet/ultraviolet":    "of bubbletea: the screen as cells",
			"github.com/charmbracelet/x/ansi":         "of bubbletea, and the dashboard's: widths, and escapes stripped from text of boards",
			"github.com/charmbracelet/colorprofile":   "of bubbletea, and the dashboard's: which colours a terminal has",
			"github.com/charmbracelet/x/term":         "of bubbletea: raw mode",
			"github.com/charmbracelet/x/termios":      "of bubbletea: raw mode",
			"github.com/charmbracelet/x/windows":      "of bubbletea: the Windows console",
			"github.com/muesli/cancelreader":          "of bubbletea: a read of the keyboard that can be ended",
			"github.com/lucasb-eyer/go-colorful":      "of bubbletea: colour distance",
			"github.com/rivo/uniseg":                  "of bubbletea: graphemes",
			"github.com/mattn/go-runewidth":           "of bubbletea: widths of characters",
			"github.com/clipperhouse/displaywidth":    "of bubbletea: widths of characters",
			"github.com/clipperhouse/uax29/v2":        "of displaywidth: graphemes",
			"github.com/xo/terminfo":                  "of colorprofile: what terminals can",
			"go.bug.st/serial":                        "bytes of a serial port, on every system",
			"github.com/warthog618/go-gpiocdev":       "the shutoff's line of a GPIO chip: level and direction in one request",
			"github.com/refraction-networking/utls":   "the simulated board's ClientHello, extension by extension; crypto/tls has one of its own",
			"golang.org/x/crypto":                     "of utls: hashes",
			"github.com/klauspost/compress":           "of utls: certificate compression, which boards do not ask for",
			"github.com/andybalholm/brotli":           "of utls: the same",
			"periph.io/x/conn/v3":                     "the shutoff's vocabulary, and pins of other drivers by their name",
		},
		why: "the bench may link more than the server, but each module needs its reason",
	},
}
