package server

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"porthole/internal/event"
	"porthole/internal/metrics"
)

// uploadFigures counts the answers to uploads, for the private side.
type uploadFigures struct {
	statuses [600]atomic.Uint64
	latency  [LatencyBuckets]atomic.Uint64
	sum      atomic.Int64
}

// answered books an upload that was answered with status after d.
func (f *uploadFigures) answered(status int, d time.Duration) {
	if status >= 0 && status < len(f.statuses) {
		f.statuses[status].Add(1)
	}
	i := 0
	for i < LatencyBuckets-1 && d >= LatencyBound(i) {
		i++
	}
	f.latency[i].Add(1)
	f.sum.Add(int64(d))
}

// handleMetrics writes all figures. It is the only place besides the other admin
// answers that tells live from recorded.
func (s *Server) handleMetrics(w http.ResponseWriter, _ *http.Request) {
	var m metrics.Writer
	s.writeIngest(&m)
	s.writeTruth(&m)
	s.writePublic(&m)
	s.writeDeltas(&m)
	m.Process()
	h := w.Header()
	h["Cache-Control"] = noStore
	h.Set("Content-Type", metrics.ContentType)
	h.Set("Content-Length", strconv.Itoa(m.Len()))
	m.WriteTo(w)
}

func (s *Server) writeIngest(m *metrics.Writer) {
	m.Family(metrics.Counter, "porthole_upload_answers_total", "Answers to uploads, by status.")
	for status := range s.uploaded.statuses {
		if n := s.uploaded.statuses[status].Load(); n > 0 || status == http.StatusOK {
			m.Sample(float64(n), "status", strconv.Itoa(status))
		}
	}
	var l Latency
	for i := range l.Counts {
		l.Counts[i] = s.uploaded.latency[i].Load()
	}
	l.Sum = time.Duration(s.uploaded.sum.Load())
	writeLatency(m, "porthole_upload_duration_seconds", "Time of uploads from their header to the answer.", l)
	m.Family(metrics.Counter, "porthole_frames_total", "Frames taken from each camera.")
	cameras := s.Cameras()
	for _, c := range cameras {
		m.Sample(float64(c.Sequence), "camera", c.Name)
	}
	m.Family(metrics.Gauge, "porthole_frame_timestamp_seconds", "Arrival of the newest frame that is kept, in seconds since 1970; 0 for none.")
	for _, c := range cameras {
		m.Sample(seconds(c.FrameAt), "camera", c.Name)
	}
	m.Family(metrics.Gauge, "porthole_camera_said_off", "1 after a camera said that it is being switched off.")
	for _, c := range cameras {
		m.Sample(oneIf(c.Off), "camera", c.Name)
	}
}

func (s *Server) writeTruth(m *metrics.Writer) {
	t := s.Truth()
	m.Family(metrics.Gauge, "porthole_mode", "What the public is shown: 1 for the mode that is true.")
	for _, mode := range []event.Mode{event.Waiting, event.Live, event.Replay, event.Loop} {
		m.Sample(oneIf(t.Mode == mode), "mode", string(mode))
	}
	m.Family(metrics.Gauge, "porthole_order", "What the operator wants: 1 for the order that is set.")
	for _, o := range orders {
		m.Sample(oneIf(t.Order == o), "order", string(o))
	}
	m.One(metrics.Gauge, "porthole_mode_change_timestamp_seconds", "The last change of mode, in seconds since 1970.", seconds(t.Since))
	m.One(metrics.Counter, "porthole_publications_total", "Pictures shown to the public, of either kind.", float64(t.Published))
	m.Family(metrics.Counter, "porthole_shown_seconds_total", "Time in which the public saw the camera, or a recording, sampled.")
	live, other := s.history.spent()
	m.Sample(live.Seconds(), "source", "camera").Sample(other.Seconds(), "source", "recording")
	if p := s.current.Load(); p != nil {
		m.One(metrics.Gauge, "porthole_publication_timestamp_seconds", "The newest publication, in seconds since 1970.", seconds(p.at))
		m.One(metrics.Gauge, "porthole_publication_bytes", "Size of the newest publication as JPEG.", float64(len(p.jpeg.body)))
	}
	m.One(metrics.Gauge, "porthole_clips", "Recordings that nobody has seen.", float64(t.Cover.Clips))
	m.One(metrics.Gauge, "porthole_clips_bytes", "Size of the recordings that nobody has seen.", float64(t.Cover.Bytes))
	m.One(metrics.Gauge, "porthole_cover_seconds", "Time that they last without a pause, at the worst time of the day.", t.Cover.Days*24*3600)
	m.One(metrics.Gauge, "porthole_cover_bare_seconds", "Time of the day for which there is no recording.", float64(t.Cover.Bare)*3600)
	m.One(metrics.Counter, "porthole_waves_total", "Waves of visitors, over restarts.", float64(s.waveCount()))
}

func (s *Server) writePublic(m *metrics.Writer) {
	st := s.Stats()
	m.Family(metrics.Counter, "porthole_requests_total", "Requests of the public side, by what was asked for.")
	for _, c := range Classes() {
		m.Sample(float64(st.Requests[c]), "class", c.String())
	}
	m.One(metrics.Counter, "porthole_requests_unchanged_total", "Requests for a picture that were answered with 304.", float64(st.Unchanged))
	m.One(metrics.Counter, "porthole_requests_fast_total", "Requests for a picture that were answered at the connection.", float64(st.Fast))
	m.One(metrics.Counter, "porthole_sent_bytes_total", "Bytes sent by the public side, before encryption.", float64(st.Bytes))
	m.One(metrics.Gauge, "porthole_viewers", "Viewers that asked for a picture within the last seconds, or wait for one.", float64(st.Viewers))
	m.One(metrics.Gauge, "porthole_connections", "Open connections of the public side.", float64(st.Connections))
	m.One(metrics.Gauge, "porthole_streams", "Open event streams.", float64(st.Streams))
	m.One(metrics.Gauge, "porthole_waiting_polls", "Polls that wait for a new picture.", float64(st.Waiting))
	m.One(metrics.Counter, "porthole_connections_accepted_total", "Connections of the public side.", float64(st.Accepted))
	m.One(metrics.Counter, "porthole_connections_refused_total", "Connections refused because of a limit.", float64(st.Refused))
	m.One(metrics.Counter, "porthole_handshakes_failed_total", "TLS handshakes that failed.", float64(st.Handshakes))
	m.One(metrics.Counter, "porthole_connections_slow_total", "Connections ended because the other side was too slow.", float64(st.Slow))
	writeLatency(m, "porthole_picture_duration_seconds", "Time of requests for pictures, from the whole request to the last byte handed to the system.", st.Latency)
}

func writeLatency(m *metrics.Writer, name, help string, l Latency) {
	// The last bucket also holds what lies beyond its bound.
	bounds := make([]float64, LatencyBuckets-1)
	for i := range bounds {
		bounds[i] = LatencyBound(i).Seconds()
	}
	m.Histogram(name, help, bounds, l.Counts[:], l.Sum.Seconds())
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus wants it, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (s *Server) waveCount() uint64 {
	total, _ := s.Waves()
	return total
}
