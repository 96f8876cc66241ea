package board

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"porthole/internal/console"
)

// A Network is the radio around a board.
type Network interface {
	// Join associates with the network of that name and gets an address. It takes
	// as long as that does, and fails with a *JoinError if the radio says why not.
	// The link lives until it is lost or ctx ends.
	Join(ctx context.Context, ssid, password string) (Link, error)
}

// A Link is a joined network.
type Link struct {
	IP      netip.Addr
	RSSI    int // dBm
	Channel int
	// Lost gets the driver's reason code when the link goes down; nil never.
	Lost <-chan int
	// Dial reaches hosts through the link.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A JoinError is why a network could not be joined, as the Wi-Fi driver counts
// reasons (esp32-wire 3.4).
type JoinError struct{ Reason int }

func (e *JoinError) Error() string {
	return fmt.Sprintf("join network: %s (%d)", console.WiFiName(e.Reason), e.Reason)
}

// An AccessPoint is a network of a World.
type AccessPoint struct {
	SSID     string
	Password string // empty: open
	RSSI     int    // 0 means -58 dBm
	Channel  int    // 0 means 6
}

// A World is a Network made of access points, for one or many boards. The zero
// value has none, so that every board fails to find its own. Its fields must not
// change once a board has joined.
type World struct {
	Points []AccessPoint
	// JoinTime is what association and DHCP take, 0 means 1.5 s; a scan that
	// finds nothing takes ScanTime, 0 means 2.5 s (esp32-wire 3.2).
	JoinTime, ScanTime time.Duration
	// Dial connects boards to hosts; nil means the machine's own network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	down  map[string]bool
	lost  map[string][]chan int
	hosts uint32
}

var _ Network = (*World)(nil)

// Join implements Network.
func (w *World) Join(ctx context.Context, ssid, password string) (Link, error) {
	point := w.find(ssid)
	if point == nil {
		return Link{}, w.fail(ctx, cmp.Or(w.ScanTime, 2500*time.Millisecond), console.WiFiNoAP)
	}
	took := cmp.Or(w.JoinTime, 1500*time.Millisecond)
	if point.Password != password {
		// An access point that wants a password lets the handshake run into its
		// timeout; one that wants none refuses at once.
		if point.Password == "" {
			return Link{}, w.fail(ctx, took, console.WiFiAuthFail)
		}
		return Link{}, w.fail(ctx, 2*took, console.WiFiHandshake)
	}
	if !sleep(ctx, took) {
		return Link{}, context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down[ssid] {
		return Link{}, &JoinError{console.WiFiBeaconTimeout}
	}
	w.hosts++
	lost := make(chan int, 1)
	if w.lost == nil {
		w.lost = make(map[string][]chan int)
	}
	w.lost[ssid] = append(w.lost[ssid], lost)
	context.AfterFunc(ctx, func() { w.leave(ssid, lost) })
	return Link{
		IP:   netip.AddrFrom4([4]byte{192, 168, 4 + byte(w.hosts/250), byte(1 + w.hosts%250)}),
		RSSI: cmp.Or(point.RSSI, -58), Channel: cmp.Or(point.Channel, 6),
		Lost: lost, Dial: w.dial,
	}, nil
}

// SetDown switches a network off or on. Boards that have joined lose it, as
// after a beacon timeout.
func (w *World) SetDown(ssid string, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down == nil {
		w.down = make(map[string]bool)
	}
	w.down[ssid] = down
	if !down {
		return
	}
	for _, c := range w.lost[ssid] {
		c <- console.WiFiBeaconTimeout // one place, used once
	}
	delete(w.lost, ssid)
}

func (w *World) leave(ssid string, lost chan int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost[ssid] = slices.DeleteFunc(w.lost[ssid], func(c chan int) bool { return c == lost })
}

func (w *World) find(ssid string) *AccessPoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.Points {
		if p := &w.Points[i]; p.SSID == ssid && !w.down[ssid] {
			return p
		}
	}
	return nil
}

func (w *World) fail(ctx context.Context, after time.Duration, reason int) error {
	if !sleep(ctx, after) {
		return context.Cause(ctx)
	}
	return &JoinError{reason}
}

func (w *World) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if w.Dial != nil {
		return w.Dial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
