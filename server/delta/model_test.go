package delta

import (
	"math"
	"math/rand/v2"
	"testing"

	"porthole/internal/dct"
)

// TestRangeCoder: what is written is read back, carries and all, and costs what
// the meter says.
func TestRangeCoder(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		type decision struct {
			ctx, bit int
		}
		skew := r.Float64()
		list := make([]decision, r.IntN(3000))
		var w writer
		w.rc.reset(nil)
		w.m = startModel
		var cost float64
		for i := range list {
			d := decision{r.IntN(contexts+20) - 20, btoi(r.Float64() < skew)}
			list[i] = d
			if d.ctx < 0 {
				w.raw(d.bit)
				cost++
				continue
			}
			m := meter{m: &w.m}
			m.bit(d.ctx, d.bit)
			cost += float64(m.cost) / 256
			w.bit(d.ctx, d.bit)
		}
		out := w.rc.finish()
		if n := float64(8 * len(out)); n > cost*1.01+48 {
			t.Errorf("seed %d: %.0f bits written, %.0f expected", seed, n, cost)
		}
		rd := reader{rc: newRangeDecoder(out), m: startModel}
		for i, d := range list {
			got := 0
			if d.ctx < 0 {
				got = rd.rc.raw()
			} else {
				got = rd.bit(d.ctx)
			}
			if got != d.bit {
				t.Fatalf("seed %d: decision %d of %d came back as %d", seed, i, len(list), got)
			}
		}
	}
}

func TestCosts(t *testing.T) {
	for i, c := range costs {
		want := -256 * math.Log2((float64(i)+0.5)/4096)
		if math.Abs(float64(c)-want) > 1.01 {
			t.Fatalf("cost of %d/4096 is %d, want %.2f", i, c, want)
		}
	}
}

func TestBlocks(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		var w writer
		w.rc.reset(nil)
		w.m = startModel
		list := make([]levels, 1+r.IntN(20))
		for i := range list {
			v := &list[i]
			for range 1 + r.IntN(64) {
				v[r.IntN(64)] = int16(r.IntN(1<<r.IntN(11)+1) - r.IntN(1<<r.IntN(11)+1))
			}
			v[r.IntN(64)] = maxLevel
			block(&w, i%classes, v)
		}
		rd := reader{rc: newRangeDecoder(w.rc.finish()), m: startModel}
		for i := range list {
			var v levels
			if rd.block(i%classes, &v); v != list[i] {
				t.Fatalf("seed %d: block %d came back as %v, want %v", seed, i, v, list[i])
			}
		}
	}
}

// TestInverse compares with the definition of the transform, and with the
// forward one.
func TestInverse(t *testing.T) {
	q := newSteps(16)
	for k, s := range q {
		z := int(dct.Zigzag[k])
		if want := 16 * 16 * (1 + 0.05*float64(z/8+z%8)); math.Abs(float64(s)-want) > 0.51 {
			t.Fatalf("step %d is %d, want %.1f", k, s, want)
		}
	}
	r := rand.New(rand.NewPCG(1, 5))
	for round := range 200 {
		var in dct.Block
		for i := range in {
			in[i] = int32(r.IntN(511) - 255)
		}
		f := in
		f.Forward()
		var v levels
		one := steps{}
		for k := range v {
			one[k] = 1 << coefBits
			v[k] = int16(min(max((f[dct.Zigzag[k]]+dct.Scale/2)>>3, -maxLevel), maxLevel))
		}
		var out residual
		inverse(&v, &one, &out)
		for i, p := range out {
			if d := int32(p) - in[i]; abs(d) > 3 {
				t.Fatalf("block %d: sample %d is %d after both transforms, was %d", round, i, p, in[i])
			}
		}
	}
	// The largest levels there are leave no 32 bits.
	var v levels
	for k := range v {
		v[k] = maxLevel
	}
	q = newSteps(255)
	var out residual
	inverse(&v, &q, &out)
	for x := range 8 {
		for y := range 8 {
			var sum float64
			for a := range 8 {
				for b := range 8 {
					sum += float64(cosines[a][y]) * float64(cosines[b][x]) * maxCoef
				}
			}
			if got := float64(out[8*y+x]); math.Abs(got-sum/(1<<23)) > 2 {
				t.Fatalf("largest levels at %d, %d: %v, want %v", x, y, got, sum/(1<<23))
			}
		}
	}
}
