//go:build !linux

package serial

// User is a process that has a port open, with or without a lease.
type User struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// Users is known on Linux only.
func Users(string) []User { return nil }

// Permission is known on Linux only.
func Permission(string) (hint string, ok bool) { return "", true }
