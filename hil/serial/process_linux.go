package serial

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processStat reads the start time, in clock ticks since boot, and the parent
// of a process. A zombie does not count: it has let go of everything.
func processStat(pid int) (start uint64, parent int, ok bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// pid (name) state ppid …; the name may have anything in it.
	i := strings.LastIndexByte(string(data), ')')
	if i < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(data[i+1:]))
	const state, ppid, starttime = 0, 1, 19
	if len(fields) <= starttime || fields[state] == "Z" || fields[state] == "X" {
		return 0, 0, false
	}
	parent, err1 := strconv.Atoi(fields[ppid])
	start, err2 := strconv.ParseUint(fields[starttime], 10, 64)
	return start, parent, err1 == nil && err2 == nil
}

// User is a process that has a port open, with or without a lease.
type User struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// Users finds the other processes that have a device open, as far as this user
// may see. It opens nothing.
func Users(path string) []User {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var users []User
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := "/proc/" + p.Name()
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue // another user's, or gone
		}
		for _, fd := range fds {
			if target, err := os.Readlink(dir + "/fd/" + fd.Name()); err == nil && target == real {
				name, _ := os.ReadFile(dir + "/comm")
				users = append(users, User{pid, strings.TrimSpace(string(name))})
				break
			}
		}
	}
	return users
}
