package dct

import (
	"math"
	"math/rand/v2"
	"testing"
)

// exact is the definition (T.81 A.3.3), times Scale.
func exact(in *Block) (out [64]float64) {
	for v := range Size {
		for u := range Size {
			var sum float64
			for y := range Size {
				for x := range Size {
					sum += float64(in[Size*y+x]) *
						math.Cos(float64((2*x+1)*u)*math.Pi/16) * math.Cos(float64((2*y+1)*v)*math.Pi/16)
				}
			}
			for _, k := range []int{u, v} {
				if k == 0 {
					sum /= math.Sqrt2
				}
			}
			out[Size*v+u] = sum / 4 * Scale
		}
	}
	return out
}

// TestForward compares with the definition over the whole range of samples:
// noise, and the full-swing patterns that make each coefficient largest, which
// would overflow first.
func TestForward(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 1))
	check := func(name string, in Block) {
		got, want := in, exact(&in)
		got.Forward()
		for i := range got {
			if d := math.Abs(want[i] - float64(got[i])); d > 3 {
				t.Fatalf("seed %d, %s: coefficient %d is %d, want %.2f", seed, name, i, got[i], want[i])
			}
		}
	}
	for range 200 {
		var b Block
		for i := range b {
			b[i] = int32(r.IntN(511)) - 255
		}
		check("noise", b)
	}
	for k := range 64 {
		var b Block
		for i := range b {
			b[i] = 255
			if math.Cos(float64((2*(i%8)+1)*(k%8))*math.Pi/16)*math.Cos(float64((2*(i/8)+1)*(k/8))*math.Pi/16) < 0 {
				b[i] = -255
			}
		}
		check("full swing", b)
	}
}

// TestZigzag: neighbours in the file lie on one diagonal or on the next.
func TestZigzag(t *testing.T) {
	seen := [64]bool{}
	for k, z := range Zigzag {
		if seen[z] {
			t.Fatalf("place %d twice", z)
		}
		seen[z] = true
		if k == 0 {
			continue
		}
		d, before := int(z/8+z%8), int(Zigzag[k-1]/8+Zigzag[k-1]%8)
		if d != before && d != before+1 {
			t.Errorf("entry %d jumps from diagonal %d to %d", k, before, d)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	var in Block
	for i := range in {
		in[i] = int32(i*37%256) - 128
	}
	for b.Loop() {
		x := in
		x.Forward()
	}
}
