//go:build !linux

// Package nowait exists on Linux only.
package nowait
