package scene

import "time"

// dayCurve is the daylight at each full hour of the day, 256 = noon.
var dayCurve = [24]int32{
	7, 6, 6, 6, 8, 16, 42, 88, 138, 182, 214, 236,
	248, 250, 242, 226, 198, 158, 112, 66, 34, 18, 11, 8,
}

// exposure is how bright the two layers of the room come out (256 = as drawn)
// and how strong the sensor noise is: a camera turns up its gain in the dark.
type exposure struct{ day, lamp, noise int32 }

// exposureAt follows the hour of the day (UTC), clouds that pass in minutes and
// the small drift of automatic exposure.
func exposureAt(seed uint64, t time.Time) exposure {
	const hour = int64(time.Hour / time.Millisecond)
	ms := t.UnixMilli()
	_, inDay := floorDiv(ms, 24*hour)
	h, in := int32(inDay/hour), int32(inDay%hour*256/hour)
	d := (dayCurve[h]*(256-in) + dayCurve[(h+1)%24]*in) >> 8
	cloud := wave(seed, 1, ms, 95_000)*10>>8 + wave(seed, 2, ms, 23_000)*4>>8 // ±14 of 256
	drift := wave(seed, 3, ms, 7_000) * 2 >> 8
	e := exposure{
		day:   d * (222 + cloud + drift) >> 8,
		lamp:  (300 - d*7/8) * (256 + drift) >> 8,
		noise: 256 - d*56/256,
	}
	return e
}
