package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	rt "runtime/metrics"
	"strconv"
	"time"
)

// started is when the process did, near enough.
var started = time.Now()

// Process writes what is customary about the process itself, under the names
// that existing dashboards know. What the system does not tell is left out.
func (w *Writer) Process() {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	w.Family(Gauge, "porthole_build_info", "Version of the running program; always 1.").Sample(1, "version", version, "goversion", runtime.Version())
	w.One(Gauge, "process_start_time_seconds", "Start of the process, in seconds since 1970.", float64(started.UnixMilli())/1000)
	samples := []rt.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	rt.Read(samples)
	value := func(i int) float64 {
		if samples[i].Value.Kind() != rt.KindUint64 {
			return 0
		}
		return float64(samples[i].Value.Uint64())
	}
	w.One(Gauge, "go_goroutines", "Goroutines that exist.", value(0))
	w.One(Gauge, "go_memory_heap_objects_bytes", "Memory of live and not yet freed objects.", value(1))
	w.One(Gauge, "go_memory_mapped_bytes", "Memory mapped by the runtime.", value(2))
	w.One(Counter, "go_gc_cycles_total", "Garbage collections.", value(3))
	if resident, cpu, ok := procStat("/proc/self/stat"); ok {
		w.One(Gauge, "process_resident_memory_bytes", "Resident memory.", resident)
		w.One(Counter, "process_cpu_seconds_total", "Processor time used, user and system.", cpu)
	}
	if n, ok := openFiles("/proc/self/fd"); ok {
		w.One(Gauge, "process_open_fds", "Open descriptors.", float64(n))
	}
}

// procStat reads resident memory in bytes and processor time in seconds from
// Linux's proc(5).
func procStat(path string) (resident, cpu float64, ok bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false
	}
	// The second field, the name, is in parentheses and may hold anything.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	const first = 3 // number of the first field after the name
	number := func(i int) float64 {
		if i-first >= len(fields) {
			return 0
		}
		n, err := strconv.ParseFloat(string(fields[i-first]), 64)
		if err != nil {
			return 0
		}
		return n
	}
	const ticks = 100 // USER_HZ, fixed for user space on every Linux that Go supports
	return number(24) * float64(os.Getpagesize()), (number(14) + number(15)) / ticks, len(fields) > 24-first
}

func openFiles(dir string) (int, bool) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return len(names) - 1, err == nil // without the one that reads
}
