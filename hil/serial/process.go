package serial

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Process names a process so that another one with the same number later is
// not taken for it.
type Process struct {
	PID int `json:"pid"`
	// Start is when it was started, in the system's own units; 0 if the system
	// does not tell.
	Start uint64 `json:"start,omitempty"`
}

// self is this process.
func self() Process { return processOf(os.Getpid()) }

// parent is the process that started this one: for a command, the shell.
func parent() Process { return processOf(os.Getppid()) }

// processOf describes a running process.
func processOf(pid int) Process {
	start, _, _ := processStat(pid)
	return Process{pid, start}
}

// alive reports whether the process still runs.
func (p Process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	start, _, ok := processStat(p.PID)
	return ok && start == p.Start
}

// covers reports whether this process is p or was started by it, directly or not.
func (p Process) covers(pid int) bool {
	if !p.alive() {
		return false
	}
	for range 1000 { // a chain of processes has an end
		if pid == p.PID {
			return true
		}
		_, up, ok := processStat(pid)
		if !ok || up <= 0 || up == pid {
			return false
		}
		pid = up
	}
	return false
}

// whoAmI is the user's name, for others to read.
func whoAmI() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "somebody"
}

// purpose is what this process was called as, without values that could be
// secret: the program and the command, no flags.
func purpose(args []string) string {
	words := []string{filepath.Base(args[0])}
	for _, a := range args[1:] {
		if strings.HasPrefix(a, "-") || len(words) == 2 {
			break
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
