package board

import (
	"encoding/hex"
	"time"

	"porthole/internal/console"
)

// startup is what every application built with ESP-IDF prints before its own
// code runs. False: it aborts, because the flash is smaller than its header says.
func startup(l *bootLog, app *loadedApp, ours bool) bool {
	info := func(tag, format string, args ...any) { l.logf(console.Info, tag, format, args...) }
	l.work(40 * time.Millisecond) // caches, clocks, the second core
	info("cpu_start", "Multicore app")
	info("cpu_start", "Pro cpu up.")
	info("cpu_start", "Starting app cpu, entry point is 0x%08x", app.image.Header.Entry)
	info("cpu_start", "App cpu up.")
	info("cpu_start", "Pro cpu start user code")
	info("cpu_start", "cpu freq: 240000000 Hz")
	if app.known {
		d := app.desc
		info("cpu_start", "Application information:")
		info("cpu_start", "Project name:     %s", console.Clean(d.Project))
		info("cpu_start", "App version:      %s", console.Clean(d.Version))
		info("cpu_start", "Compile time:     %s %s", console.Clean(d.Date), console.Clean(d.Time))
		info("cpu_start", "ELF file SHA256:  %s...", hex.EncodeToString(d.ELF[:8]))
		info("cpu_start", "ESP-IDF:          %s", console.Clean(d.IDF))
	}
	if !flashProbe(l, app) {
		l.rawf("\r\nassert failed: do_core_init startup.c:326 (flash_ret == ESP_OK)\r\n\r\n")
		l.rawf("%s", console.Rebooting)
		return false
	}
	info("cpu_start", "Starting scheduler on PRO CPU.")
	info("cpu_start", "Starting scheduler on APP CPU.")
	if !ours {
		l.logf(console.Warning, "sim", "this application is verified but not simulated; the board idles")
	}
	l.catchUp()
	return l.alive()
}
