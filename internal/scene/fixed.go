package scene

import "math/bits"

// All arithmetic of the scene is integer arithmetic. Floating point would do
// on one machine, but Go may fuse x*y+z into one rounding on arm64, ppc64 and
// s390x, and then one seed would give different pictures on different
// machines. Golden hashes and "two runs upload identical bytes" need better.
//
// Scales used throughout:
//
//	unit   64 = one pixel of the 800x600 design (scene coordinates)
//	light 256 = full light or full opacity
//	luma   64 = one grey level, so a lit value fits 14 bits with headroom
const (
	unit      = 64
	fullLight = 256
	lumaOne   = 64
	lumaMax   = 255 * lumaOne
)

// mix is the finaliser of splitmix64: a bijection that spreads every input bit
// over the whole word.
func mix(z uint64) uint64 {
	z ^= z >> 30
	z *= 0xbf58476d1ce4e5b9
	z ^= z >> 27
	z *= 0x94d049bb133111eb
	return z ^ z>>31
}

const golden = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, the splitmix64 step

// hash folds its arguments into one well-mixed word.
func hash(seed uint64, keys ...int64) uint64 {
	h := mix(seed + golden)
	for _, k := range keys {
		h = mix(h ^ uint64(k)*golden)
	}
	return h
}

// hash2 is hash for two keys without the slice; the textures call it often.
func hash2(seed uint64, a, b int32) uint64 {
	return mix(seed ^ (uint64(uint32(a))<<32|uint64(uint32(b)))*golden)
}

// pick returns a number in [lo, hi] chosen by h.
func pick(h uint64, lo, hi int32) int32 {
	return lo + int32((h>>20)%uint64(hi-lo+1))
}

// floorDiv returns a/b and a%b with a remainder that is never negative; b > 0.
func floorDiv(a, b int64) (q, r int64) {
	q, r = a/b, a%b
	if r < 0 {
		q, r = q-1, r+b
	}
	return q, r
}

// smooth is 3t²-2t³ for t in 0..256, result 0..256.
func smooth(t int32) int32 {
	return t * t * (768 - 2*t) >> 16
}

func clamp(v, lo, hi int32) int32 { return min(max(v, lo), hi) }

// isqrt returns the integer square root, rounded down.
func isqrt(v uint64) uint64 {
	if v == 0 {
		return 0
	}
	r := uint64(1) << ((bits.Len64(v) + 1) / 2) // never below the root
	for {
		n := (r + v/r) / 2
		if n >= r {
			return r
		}
		r = n
	}
}

// noise2 is smooth value noise with lattice spacing 256 in both directions;
// the result runs from -256 to 256.
func noise2(seed uint64, x, y int32) int32 {
	x0, y0 := x>>8, y>>8
	fx, fy := smooth(x&255), smooth(y&255)
	at := func(dx, dy int32) int32 { return int32(hash2(seed, x0+dx, y0+dy)&511) - 255 }
	top := at(0, 0)*(256-fx) + at(1, 0)*fx
	bottom := at(0, 1)*(256-fx) + at(1, 1)*fx
	return (top>>8*(256-fy) + bottom>>8*fy) >> 8
}

// wave is smooth noise in time: it takes a new value in -256..256 every period
// and glides between them.
func wave(seed uint64, salt, now, period int64) int32 {
	k, r := floorDiv(now, period)
	f := smooth(int32(r * 256 / period))
	a := int32(hash(seed, salt, k)&511) - 255
	b := int32(hash(seed, salt, k+1)&511) - 255
	return (a*(256-f) + b*f) >> 8
}

// step is like wave but rests on each value and moves to the next one only in
// the first part of the period: the way people shift in a chair.
func step(seed uint64, salt, now, period, moving int64) int32 {
	k, r := floorDiv(now, period)
	b := int32(hash(seed, salt, k)&511) - 255
	if r >= moving {
		return b
	}
	a := int32(hash(seed, salt, k-1)&511) - 255
	f := smooth(int32(r * 256 / moving))
	return (a*(256-f) + b*f) >> 8
}
