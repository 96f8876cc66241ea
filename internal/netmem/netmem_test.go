package netmem

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestHTTPInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := Listen()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Hour)
			io.WriteString(w, "late")
		})}
		go srv.Serve(ln)
		tr := &http.Transport{DialContext: ln.DialContext}
		start := time.Now()
		resp, err := (&http.Client{Transport: tr}).Get("http://feed.example/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "late" || time.Since(start) != time.Hour {
			t.Errorf("body %q after %v", body, time.Since(start))
		}
		tr.CloseIdleConnections()
		srv.Close()
	})
}

func TestClosed(t *testing.T) {
	ln := Listen()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ln.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("dial without accept: %v", err)
	}
	ln.Close()
	ln.Close()
	if _, err := ln.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
}
