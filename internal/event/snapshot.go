package event

import "time"

// Snapshot is the state that a stream of events adds up to: what a dashboard
// shows that joins late. It is a pure function of the events, so that an
// attached dashboard and one in process agree.
type Snapshot struct {
	Seq  uint64    `json:"seq"`  // of the newest event
	Time time.Time `json:"time"` // of the newest event

	Mode      Mode      `json:"mode,omitempty"` // the truth, not what viewers can tell
	ModeSince time.Time `json:"mode_since,omitzero"`
	ModeWhy   string    `json:"mode_why,omitempty"`

	Uploads      uint64    `json:"uploads"`           // sent by a camera
	Failures     uint64    `json:"failures"`          // of a camera to send
	Accepted     uint64    `json:"accepted"`          // by the server
	Rejected     uint64    `json:"rejected"`          // by the server
	Ignored      uint64    `json:"ignored,omitempty"` // good, but late or here already
	Published    uint64    `json:"published"`
	LastUpload   FrameInfo `json:"last_upload,omitzero"`
	LastAccepted FrameInfo `json:"last_accepted,omitzero"`
	LastShown    FrameInfo `json:"last_shown,omitzero"`
	AcceptedAt   time.Time `json:"accepted_at,omitzero"`
	ShownAt      time.Time `json:"shown_at,omitzero"`

	Waves       uint64       `json:"waves,omitempty"` // of all visitors so far
	LastProblem string       `json:"last_problem,omitempty"`
	ProblemAt   time.Time    `json:"problem_at,omitzero"`
	Load        LoadFigure   `json:"load,omitzero"`
	Board       BoardState   `json:"board,omitzero"`
	Public      PublicFigure `json:"public,omitzero"`
	Progress    Progress     `json:"progress,omitzero"` // of the work under way, or of the last that ended
	Fault       Fault        `json:"fault,omitzero"`    // that is on; zero for none
	Cover       Cover        `json:"cover,omitzero"`
}

// Apply folds one event in.
func (s *Snapshot) Apply(e Event) {
	s.Seq, s.Time = e.Seq, e.Time
	switch e.Kind {
	case Uploaded:
		s.Uploads++
		s.LastUpload = e.Frame
	case UploadFailed:
		s.Failures++
		s.LastProblem, s.ProblemAt = e.Text, e.Time
	case Accepted:
		s.Accepted++
		s.LastAccepted, s.AcceptedAt = e.Frame, e.Time
	case Rejected:
		s.Rejected++
		s.LastProblem, s.ProblemAt = e.Text, e.Time
	case Ignored:
		s.Ignored++
	case Published:
		s.Published++
		s.LastShown, s.ShownAt = e.Frame, e.Time
	case ModeChanged:
		s.Mode, s.ModeSince, s.ModeWhy = e.Mode, e.Time, e.Text
	case Waved:
		s.Waves = max(s.Waves, e.Waves)
	case LoadSample:
		s.Load = e.Load
	case PublicSide:
		s.Public = e.Public
	case CoverChanged:
		s.Cover = e.Cover
	case BoardChanged:
		s.Board = e.Board
	case Progressed:
		s.Progress = e.Progress
	case FaultChanged:
		if s.Fault = e.Fault; e.Fault.Over {
			s.Fault = Fault{}
		}
	case Console, Note:
		// lines are history, not state
	}
}
