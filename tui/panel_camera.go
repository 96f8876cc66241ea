package tui

import (
	"errors"
	"fmt"
	"image"
	"time"

	"porthole/internal/event"
)

// drawCamera draws what the camera sent and, where it differs, what the public
// is shown, side by side, each with its words below.
func (m *Model) drawCamera(c *canvas, r rect) {
	s := m.state()
	if s.Accepted == 0 && s.Published == 0 && s.Uploads == 0 {
		m.absent(c, r, orElse(m.cfg.Absent[CameraPanel], "no frame has arrived yet"))
		return
	}
	if s.Mode == event.Live || s.Published == 0 {
		m.drawPicture(c, r, Sent, s, "sent and shown to the public")
		return
	}
	first, second := split(r)
	m.drawPicture(c, first, Sent, s, "sent")
	m.drawPicture(c, second, Public, s, "shown to the public")
}

// captionRows are the rows of words below a picture.
const captionRows = 3

// split divides a panel for two pictures, side by side or one above the other,
// whichever leaves them larger.
func split(r rect) (first, second rect) {
	half, rows := (r.w-1)/2, r.h/2
	camera := image.Rect(0, 0, 4, 3)
	_, beside, _ := fit(camera, half, r.h-captionRows)
	_, above, _ := fit(camera, r.w, rows-captionRows)
	if above > beside {
		return rect{r.x, r.y, r.w, rows}, rect{r.x, r.y + rows, r.w, r.h - rows}
	}
	return rect{r.x, r.y, half, r.h}, rect{r.x + half + 1, r.y, r.w - half - 1, r.h}
}

// drawPicture draws one picture with two rows of words below it.
func (m *Model) drawPicture(c *canvas, r rect, which Which, s event.Snapshot, title string) {
	first, second := m.pictureWords(which, s)
	y := r.y + max(r.h-2, 0)
	if r.h >= 3 {
		c.put(r.x, y-1, r.w, title, strong)
		y--
		defer func() {
			c.put(r.x, y+1, r.w, first, normal)
			c.put(r.x, y+2, r.w, second, ageStyle(m, which, s))
		}()
	}
	area := rect{r.x, r.y, r.w, y - r.y}
	p := &m.shown[which]
	switch {
	case m.cfg.Image == NoImg:
		return
	case p.img == nil && p.err != nil:
		m.absent(c, area, "no picture: "+clean(p.err.Error()))
		return
	case p.img == nil:
		if r.h > 6 {
			m.absent(c, area, "no picture at this time")
		}
		return
	}
	if p.thumb == nil || p.w != area.w || p.h != area.h || p.profile != m.profile || m.kitty != (p.cols > 0) {
		t, err := m.thumbnail(which, p.img, area)
		if err != nil {
			if !errors.Is(err, errNoRoom) {
				m.absent(c, area, clean(err.Error()))
			}
			return
		}
		p.thumb, p.w, p.h, p.profile, p.cols, p.rows = t, area.w, area.h, m.profile, 0, 0
		if m.kitty {
			p.cols, p.rows = t.w, t.h
		}
	}
	p.thumb.draw(c, area.x+(area.w-p.thumb.w)/2, area.y+(area.h-p.thumb.h)/2)
}

// pictureWords says what a picture is: number and size, then age.
func (m *Model) pictureWords(which Which, s event.Snapshot) (what, age string) {
	f, at := s.LastAccepted, s.AcceptedAt
	name := "frame"
	if which == Public {
		f, at = s.LastShown, s.ShownAt
		if name = "live picture"; !f.Live {
			name = "recorded picture"
		}
	}
	if at.IsZero() {
		return "none yet", ""
	}
	what = fmt.Sprintf("%s %d, %s", name, f.Seq, kilobytes(float64(f.Bytes)))
	if f.Width > 0 {
		what += fmt.Sprintf(", %dx%d", f.Width, f.Height)
	}
	return what, words(m.instant().Sub(at)) + " old"
}

// late is the age at which a frame is worth a warning: the server falls back to
// the loop at ten seconds by default.
const late = 10 * time.Second

func ageStyle(m *Model, which Which, s event.Snapshot) style {
	if which == Sent && !s.AcceptedAt.IsZero() && m.instant().Sub(s.AcceptedAt) > late {
		return warn
	}
	return quiet
}

func kilobytes(n float64) string {
	if n >= 1e6 {
		return fmt.Sprintf("%.1f MB", n/1e6)
	}
	return fmt.Sprintf("%.1f kB", n/1e3)
}

// thumbnail is a picture in the cells of an area, in the best way there is.
func (m *Model) thumbnail(which Which, img *image.Gray, area rect) (*thumbnail, error) {
	if m.kitty {
		return placeholders(which, img, area.w, area.h)
	}
	return newThumbnail(img, area.w, area.h, m.cfg.Image, m.profile)
}
