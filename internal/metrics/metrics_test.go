package metrics

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parse reads text as Prometheus does and lets its linter look at it.
func parse(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return families
}

func TestWriter(t *testing.T) {
	var w Writer
	w.One(Counter, "porthole_things_total", "Things\nand \\ more.", 12)
	w.Family(Gauge, "porthole_rooms", "Rooms.").Sample(1.5, "name", "a \"b\"\nc\\", "kind", "x").Sample(math.Inf(1), "name", "\xff", "kind", "y").Sample(math.Inf(-1), "name", "", "kind", "")
	w.Histogram("porthole_age_seconds", "Age.", []float64{0.1, 1, 10}, []uint64{1, 0, 2, 4}, 99.5)
	var b bytes.Buffer
	n := w.Len()
	if sent, err := w.WriteTo(&b); err != nil || int(sent) != n || n == 0 {
		t.Fatalf("sent %d of %d, %v", sent, n, err)
	}
	f := parse(t, b.String())
	if c := f["porthole_things_total"]; c.GetHelp() != "Things\nand \\ more." || c.GetMetric()[0].GetCounter().GetValue() != 12 {
		t.Errorf("counter %v", c)
	}
	rooms := f["porthole_rooms"].GetMetric()
	if len(rooms) != 3 || rooms[0].GetLabel()[0].GetValue() != "a \"b\"\nc\\" || rooms[0].GetGauge().GetValue() != 1.5 || !math.IsInf(rooms[1].GetGauge().GetValue(), 1) || !math.IsInf(rooms[2].GetGauge().GetValue(), -1) {
		t.Errorf("gauges %v", rooms)
	}
	h := f["porthole_age_seconds"].GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 7 || h.GetSampleSum() != 99.5 || len(h.GetBucket()) != 4 {
		t.Errorf("histogram %v", h)
	}
	for i, want := range []uint64{1, 1, 3, 7} {
		if got := h.GetBucket()[i].GetCumulativeCount(); got != want {
			t.Errorf("bucket %d: %d, want %d", i, got, want)
		}
	}
}

func TestBadName(t *testing.T) {
	for _, name := range []string{"", "9lives", "a-b", "a b", "ä"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("name %q was taken", name)
				}
			}()
			new(Writer).One(Gauge, name, "x", 1)
		}()
	}
}

func TestProcess(t *testing.T) {
	var w Writer
	w.Process()
	var b bytes.Buffer
	w.WriteTo(&b)
	f := parse(t, b.String())
	for _, name := range []string{"process_resident_memory_bytes", "process_start_time_seconds", "go_goroutines", "go_memory_mapped_bytes", "process_open_fds"} {
		if f[name] == nil || f[name].GetMetric()[0].GetGauge().GetValue() <= 0 {
			t.Errorf("%s is %v", name, f[name])
		}
	}
}

func TestProcStat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stat")
	line := "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 150 13 14 15 16 17 18 19 20 1000 99\n"
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	resident, cpu, ok := procStat(path)
	if want := 1000 * float64(os.Getpagesize()); resident != want || cpu != 4 || !ok {
		t.Errorf("resident %v, want %v; cpu %v; %v", resident, want, cpu, ok)
	}
	if err := os.WriteFile(path, []byte("42 (a) S"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := procStat(path); ok {
		t.Error("a short line was taken")
	}
}

func FuzzSample(f *testing.F) {
	f.Add("text", 1.0)
	f.Add("\"\\\n\x00\xff{}", math.NaN())
	f.Fuzz(func(t *testing.T, text string, value float64) {
		var w Writer
		w.Family(Gauge, "porthole_x", text).Sample(value, "name", text)
		var b bytes.Buffer
		w.WriteTo(&b)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(&b)
		if err != nil {
			t.Fatal(err)
		}
		m := families["porthole_x"].GetMetric()
		if len(families) != 1 || len(m) != 1 || len(m[0].GetLabel()) != 1 {
			t.Fatalf("%q became %v", text, families)
		}
		if got, want := m[0].GetLabel()[0].GetValue(), strings.ToValidUTF8(text, "\uFFFD"); got != want {
			t.Errorf("label %q, want %q", got, want)
		}
		if got := m[0].GetGauge().GetValue(); got != value && !(math.IsNaN(got) && math.IsNaN(value)) {
			t.Errorf("value %v, want %v", got, value)
		}
	})
}
