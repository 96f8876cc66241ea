package main

import (
	"context"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary be the server that a bench starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestSmoke runs every part, small and short: it shows that all servers start,
// answer rightly and are measured. No figure is judged.
func TestSmoke(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"compare", []string{"compare", "-smoke", "-only", "plain, 64|304|HTTP/2|TLS, p|TLS, m"}, []string{"| first", "| nginx", "304, 64 connections", "HTTP/2", "kB/connection", "pollers at 0.5/s"}},
		{"crowd", []string{"crowd", "-idle", "40", "-pollers", "20", "-window", "300ms"}, []string{"20 polling: ", "slope ", "extrapolated"}},
		{"attack", []string{"attack", "-viewers", "20", "-conns", "20", "-window", "250ms", "-rounds", "1", "-factor", "1e9"}, []string{"| slow head |", "| smuggling |", "| nonsense |"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			var out strings.Builder
			if err := run(t.Context(), tt.args, &out); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
		})
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{nil, {"race"}, {"compare", "-only", "("}, {"serve", "-kind", "other", "-dir", "."}} {
		if err := run(context.Background(), args, new(strings.Builder)); err == nil {
			t.Errorf("%q: accepted", args)
		}
	}
}

func TestMiddle(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{1, 2}, 1.5}, {[]float64{1, 2, 9}, 2}} {
		if got := middle(tt.in); got != tt.want {
			t.Errorf("middle of %v: %v, want %v", tt.in, got, tt.want)
		}
	}
}
