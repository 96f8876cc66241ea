package sim

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"porthole/internal/wire"
)

// Times of the sketch.
const (
	handshakeTimeout = 120 * time.Second // TLS (esp32-wire 3.1)
	connectTimeout   = 30 * time.Second  // TCP connect (esp32-wire 3.1)
	replyPoll        = wire.ResponsePoll
	replySilence     = wire.ResponseSilence
)

// errCut means that the camera lost power between capture and send.
var errCut = errors.New("camera is off")

// Reply is what the board read of the server's answer.
type Reply struct {
	Status int    // 0 when there was none
	Line   string // the status line
}

// upload sends one frame over a connection of its own, as the sketch does.
func (c *Camera) upload(ctx context.Context, jpeg []byte) (Reply, error) {
	dialling, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := c.cfg.Dial(dialling)
	if err != nil {
		return Reply{}, fmt.Errorf("connect to %s: %w", c.cfg.Target.Address(), err)
	}
	// The sketch closes the socket without close_notify (esp32-wire 1.5), so
	// the raw connection is what is closed.
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()

	conn := raw
	if c.tls != nil {
		secure := tls.Client(raw, c.tls)
		shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		if err := secure.HandshakeContext(shaking); err != nil {
			return Reply{}, fmt.Errorf("TLS handshake with %s: %w", c.cfg.Target.Host, err)
		}
		conn = secure
	}
	if !c.powered() {
		return Reply{}, errCut
	}
	t := c.cfg.Target
	err = wire.Request{Host: t.Host, Path: t.Path, Token: t.Token, JPEG: jpeg}.Sketch(conn, c.cfg.Sketch)
	if err != nil {
		// A server that refuses early answers and closes while the body is
		// still being sent; the answer says more than the broken pipe.
		if reply, replyErr := c.await(ctx, conn); replyErr == nil {
			return reply, nil
		}
		return Reply{}, fmt.Errorf("send frame: %w", err)
	}
	return c.await(ctx, conn)
}

// await reads the reply as the sketch does: byte by byte until the header's
// empty line, looking every 100 ms, giving up after 10 s of silence.
func (c *Camera) await(ctx context.Context, conn net.Conn) (Reply, error) {
	start := time.Now()
	var parser wire.SketchResponse
	var buf [256]byte
	for {
		conn.SetReadDeadline(time.Now().Add(replySilence))
		n, err := conn.Read(buf[:])
		for _, b := range buf[:n] {
			if parser.Feed(b) {
				// The board sees it at its next look only.
				late := time.Since(start) % replyPoll
				if late > 0 {
					if err := sleepUntil(ctx, time.Now().Add(replyPoll-late)); err != nil {
						return Reply{}, err
					}
				}
				return Reply{parser.Status(), parser.StatusLine()}, nil
			}
		}
		if err != nil {
			return Reply{}, fmt.Errorf("wait for the reply of %s: %w", c.cfg.Target.Host, err)
		}
	}
}

// boardTLS returns the TLS settings under which records have the lengths of the
// board's: TLS 1.2 with AES-GCM, one record per write (esp32-wire 1.3), never
// resumed.
func boardTLS(base *tls.Config, host string) *tls.Config {
	cfg := new(tls.Config)
	if base != nil {
		cfg = base.Clone()
	}
	cfg.ServerName = cmp.Or(cfg.ServerName, host)
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	cfg.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	}
	cfg.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	cfg.DynamicRecordSizingDisabled = true
	cfg.ClientSessionCache = nil
	return cfg
}
