package board

import (
	"context"
	"testing"
	"testing/synctest"
)

// A link that ends with its board leaves nothing behind in the world.
func TestLinksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &World{Points: []AccessPoint{{SSID: "open"}}}
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := w.Join(ctx, "open", ""); err != nil {
				t.Fatal(err)
			}
			if n := len(w.lost["open"]); n != 1 {
				t.Fatalf("%d links", n)
			}
			cancel()
			synctest.Wait()
		}
		if n := len(w.lost["open"]); n != 0 {
			t.Errorf("%d links are left", n)
		}
	})
}
