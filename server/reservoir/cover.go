package reservoir

import "time"

// Cover says how much there is to show while a camera is silent.
type Cover struct {
	Clips  int           `json:"clips"`
	Bytes  int64         `json:"bytes"`
	Length time.Duration `json:"length"` // of all clips
	// Days that recorded pictures last without a pause, at any time of the day:
	// for each hour of the day, the clips within two hours of it are shared by
	// the hours around. It is the least of the 24.
	Days float64 `json:"days"`
	// Bare counts the hours of the day without any.
	Bare int `json:"bare_hours"`
}

const day = 24 * time.Hour

// TimeOfDay returns the time since midnight UTC.
func TimeOfDay(t time.Time) time.Duration {
	t = t.UTC()
	return t.Sub(t.Truncate(day))
}

// Apart returns how far two times of the day are apart, at most half a day.
func Apart(a, b time.Time) time.Duration {
	d := (TimeOfDay(a) - TimeOfDay(b)).Abs()
	return min(d, day-d)
}

// Cover sums up what there is for pictures of one size; 0 x 0 means any.
func (r *Reservoir) Cover(width, height int) Cover {
	r.mu.Lock()
	defer r.mu.Unlock()
	return coverOf(r.clips, width, height)
}

func coverOf(clips []Info, width, height int) Cover {
	var c Cover
	var hours [24]time.Duration
	for _, clip := range clips {
		if width != 0 && (clip.Width != width || clip.Height != height) {
			continue
		}
		c.Clips++
		c.Bytes += clip.Bytes
		c.Length += clip.Length()
		hours[clip.Begun.UTC().Hour()] += clip.Length()
	}
	c.Days = float64(c.Length) / float64(day)
	for h := range hours {
		var around time.Duration
		for d := -2; d <= 2; d++ {
			around += hours[(h+d+24)%24]
		}
		c.Days = min(c.Days, float64(around)/float64(5*time.Hour))
		if around == 0 {
			c.Bare++
		}
	}
	return c
}
