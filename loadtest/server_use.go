package loadtest

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// ServerUse is what a server that the load test itself started has used.
type ServerUse struct {
	CPU        Seconds `json:"cpu_s"`
	CPUPerPoll Seconds `json:"cpu_per_poll_s"`
	PeakMemory int64   `json:"peak_memory_bytes"` // resident
	Starts     int     `json:"starts"`
}

// Add adds a process that has ended.
func (u *ServerUse) Add(p *os.ProcessState) {
	if p == nil {
		return
	}
	u.Starts++
	u.CPU += Seconds(p.UserTime() + p.SystemTime())
	if r, ok := p.SysUsage().(*syscall.Rusage); ok {
		unit := int64(1024)
		if runtime.GOOS == "darwin" {
			unit = 1
		}
		u.PeakMemory = max(u.PeakMemory, int64(r.Maxrss)*unit)
	}
}

// SetServer adds what the server has used to a report.
func (r *Report) SetServer(u *ServerUse) {
	if u == nil || u.Starts == 0 {
		return
	}
	if r.Polls.Sent > 0 {
		u.CPUPerPoll = Seconds(time.Duration(u.CPU) / time.Duration(r.Polls.Sent))
	}
	r.Server = u
}
