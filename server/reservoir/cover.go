package reservoir

import "time"

// Cover says how much there is to show while a camera is silent.
type Cover struct {
	Clips  int
	Bytes  int64
	Length time.Duration // of all clips
	// Days that recorded pictures last without a pause, at any time of the day:
	// for each hour of the day, the clips within two hours of it are shared by
	// the hours around. It is the least of the 24.
	Days float64
	// Bare counts the hours of the day without any.
	Bare int
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

// Cover sums up what there is.
func (r *Reservoir) Cover() Cover {
	r.mu.Lock()
	defer r.mu.Unlock()
	return coverOf(r.clips)
}

func coverOf(clips []Info) Cover {
	var c Cover
	var hours [24]time.Duration
	for _, clip := range clips {
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
