package flash

import "time"

// meter turns counts of bytes into progress with rate and time left.
type meter struct {
	tell  func(Progress)
	now   Progress
	began time.Time
}

// begin starts a phase. Total is in bytes of flash, 0 for unknown.
func (m *meter) begin(phase Phase, file string, total int64) {
	m.now = Progress{Phase: phase, File: file, Total: total}
	m.began = time.Now()
	m.tell(m.now)
}

// set says how many bytes of the phase are done.
func (m *meter) set(done int64) {
	m.now.Done = min(done, m.now.Total)
	if elapsed := time.Since(m.began).Seconds(); elapsed > 0 && m.now.Done > 0 {
		m.now.Rate = float64(m.now.Done) / elapsed
		left := float64(m.now.Total-m.now.Done) / m.now.Rate
		m.now.ETA = time.Duration(left * float64(time.Second)).Round(time.Millisecond)
	}
	m.tell(m.now)
}

// note passes something on that a person should see.
func (m *meter) note(text string) {
	p := m.now
	p.Note = text
	m.tell(p)
}
