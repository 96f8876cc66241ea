package testset

import (
	"math"
	"math/bits"
	"sync"
)

// source is the generator behind numpy.random.default_rng: the figures that the
// codec is held against were measured on a scene drawn with it, and only the
// same numbers make the same scene. It is PCG-XSL-RR 128/64 seeded through
// numpy's SeedSequence.
type source struct {
	hi, lo       uint64 // state
	incHi, incLo uint64
	half         uint32 // second half of the last word that was split
	hasHalf      bool
}

func newSource(seed uint32) *source {
	var pool [4]uint32
	h := uint32(0x43b0d7e5)
	hashed := func(v uint32) uint32 {
		v ^= h
		h *= 0x931e8875
		v *= h
		return v ^ v>>16
	}
	for i := range pool {
		pool[i] = hashed(seed)
		seed = 0
	}
	for from := range pool {
		for to := range pool {
			if from != to {
				v := 0xca01f9dd*pool[to] - 0x4973f715*hashed(pool[from])
				pool[to] = v ^ v>>16
			}
		}
	}
	var words [4]uint64
	h = 0x8b51f9dd
	for i := range 8 {
		v := pool[i%4] ^ h
		h *= 0x58f38ded
		v *= h
		words[i/2] |= uint64(v^v>>16) << (i % 2 * 32)
	}
	s := &source{incHi: words[2]<<1 | words[3]>>63, incLo: words[3]<<1 | 1}
	s.step()
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, words[1], 0)
	s.hi, _ = bits.Add64(s.hi, words[0], carry)
	s.step()
	return s
}

func (s *source) step() {
	const mulHi, mulLo = 0x2360ed051fc65da4, 0x4385df649fccf645
	hi, lo := bits.Mul64(s.lo, mulLo)
	hi += s.hi*mulLo + s.lo*mulHi
	var carry uint64
	s.lo, carry = bits.Add64(lo, s.incLo, 0)
	s.hi, _ = bits.Add64(hi, s.incHi, carry)
}

func (s *source) uint64() uint64 {
	s.step()
	return bits.RotateLeft64(s.hi^s.lo, -int(s.hi>>58))
}

func (s *source) uint32() uint32 {
	if s.hasHalf {
		s.hasHalf = false
		return s.half
	}
	v := s.uint64()
	s.half, s.hasHalf = uint32(v>>32), true
	return uint32(v)
}

// float64 is uniform in [0, 1).
func (s *source) float64() float64 { return float64(s.uint64()>>11) / (1 << 53) }

// between is uniform in lo..hi-1 (Lemire's method).
func (s *source) between(lo, hi int) int {
	n := uint32(hi - lo)
	m := uint64(s.uint32()) * uint64(n)
	if uint32(m) < n {
		for least := -n % n; uint32(m) < least; {
			m = uint64(s.uint32()) * uint64(n)
		}
	}
	return lo + int(m>>32)
}

// ziggurat are the tables of the 256-strip ziggurat of Marsaglia and Tsang
// (2000) with numpy's 52-bit scaling.
type ziggurat struct {
	k [256]uint64
	w [256]float64
	f [256]float64
}

const zigguratR = 3.6541528853610087963519472518

var normalTables = sync.OnceValue(func() *ziggurat {
	const one = 1 << 52
	density := func(x float64) float64 { return math.Exp(-x * x / 2) }
	// Of each strip: the lowest one is a rectangle and the tail beyond it.
	area := zigguratR*density(zigguratR) + math.Sqrt(math.Pi/2)*math.Erfc(zigguratR/math.Sqrt2)
	z := new(ziggurat)
	x := zigguratR
	q := area / density(x)
	z.k[0], z.w[0], z.f[0] = uint64(x/q*one), q/one, 1
	z.w[255], z.f[255] = x/one, density(x)
	for i := 254; i > 0; i-- {
		next := math.Sqrt(-2 * math.Log(area/x+density(x)))
		z.k[i+1] = uint64(next / x * one)
		x = next
		z.w[i], z.f[i] = x/one, density(x)
	}
	z.k[1] = 0
	return z
})

// normal is standard normal.
func (s *source) normal() float64 {
	z := normalTables()
	for {
		r := s.uint64()
		i := r & 0xff
		r >>= 8
		mantissa := r >> 1 & (1<<52 - 1)
		x := float64(mantissa) * z.w[i]
		if r&1 != 0 {
			x = -x
		}
		if mantissa < z.k[i] {
			return x
		}
		if i == 0 {
			for {
				over := -math.Log1p(-s.float64()) / zigguratR
				y := -math.Log1p(-s.float64())
				if 2*y > over*over {
					if mantissa>>8&1 != 0 {
						return -(zigguratR + over)
					}
					return zigguratR + over
				}
			}
		}
		if (z.f[i-1]-z.f[i])*s.float64()+z.f[i] < math.Exp(-x*x/2) {
			return x
		}
	}
}

// normals is a field of standard normal values.
func (s *source) normals(w, h int) *field {
	f := newField(w, h)
	for i := range f.v {
		f.v[i] = s.normal()
	}
	return f
}
