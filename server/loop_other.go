//go:build !linux

package server

import "time"

// loop exists on Linux only; elsewhere every link has a goroutine.
type loop struct{}

func newLoops(*front, int) ([]*loop, error)     { return nil, nil }
func (*loop) run()                              {}
func (*loop) stop(time.Time)                    {}
func (*loop) ring(streamKind)                   {}
func (*loop) add(l *link, _ time.Duration) bool { return false }
