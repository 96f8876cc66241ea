package scene

import (
	"image"
	"math/bits"
)

// gauss is the upper half of the normal distribution: 32 times the quantile at
// (128+i+0.5)/256. The lower half is its negative.
var gauss = [128]int8{
	0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5,
	5, 6, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10,
	10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15,
	16, 16, 17, 17, 17, 18, 18, 18, 19, 19, 19, 20, 20, 21, 21, 21,
	22, 22, 23, 23, 23, 24, 24, 25, 25, 25, 26, 26, 27, 27, 28, 28,
	29, 29, 30, 30, 31, 31, 32, 32, 33, 33, 34, 34, 35, 35, 36, 37,
	37, 38, 38, 39, 40, 40, 41, 42, 43, 43, 44, 45, 46, 47, 48, 49,
	50, 51, 52, 53, 54, 56, 57, 59, 61, 63, 65, 67, 71, 75, 81, 92,
}

// noiseUnits is the standard deviation of a pixel's grain, which takes a part
// from its left and upper neighbours: sqrt(5²+1²+1²) x 32.
const noiseUnits = 166

// sensor turns the lit scene into what an OV2640 delivers: a lens that is not
// quite sharp and darkens to the corners, pixels that differ a little in
// sensitivity, and shot noise that grows with the signal.
type sensor struct {
	view     *view
	response []int8   // of each pixel, in 1/1024: 0.5 % standard deviation
	edgeX    []uint16 // loss of light by column and by row, 1/65536
	edgeY    []uint16
	lens     [3]uint32 // blur at distance 0, 1 and 2 pixels, sum 16
	normal   [256]int8
	root     [256]int32 // noise by grey level
}

func newSensor(v *view, seed uint64) *sensor {
	s := &sensor{view: v, response: make([]int8, v.w*v.h), edgeX: make([]uint16, v.w), edgeY: make([]uint16, v.h)}
	// The sensor's windows below SVGA are scaled down from it, which sharpens.
	s.lens = [3]uint32{6, 4, 1}
	if v.w < 480 {
		s.lens = [3]uint32{8, 4, 0}
	}
	for i, g := range gauss {
		s.normal[128+i], s.normal[127-i] = g, -g
	}
	for i := range s.root {
		// sigma 2.5 grey levels at 120, growing with the root of the signal
		// over a floor: 2.5*sqrt((i+20)/140), as a factor of 65536/noiseUnits.
		q := isqrt(uint64(i+20) << 32 / 140) // sqrt in 1/65536
		s.root[i] = int32(q * 5 / 2 / noiseUnits)
	}
	edge := func(out []uint16, strength int64) {
		n := int64(len(out))
		for i := range out {
			d := 2*int64(i) + 1 - n
			out[i] = uint16(strength * d * d / (n * n))
		}
	}
	edge(s.edgeX, 15000)
	edge(s.edgeY, 10500)
	fixed := hash(seed, 0x70726e75)
	for i := range s.response {
		h := mix(fixed + uint64(i)*golden)
		s.response[i] = s.normal[h&255] / 6
	}
	return s
}

// capture reads the frame into out, with noise of its own for every key. The
// gain (256 = normal) scales the noise.
func (s *sensor) capture(out *image.Gray, lit []uint16, key uint64, gain int32) {
	w, h := s.view.w, s.view.h
	var root [256]int32
	for i, r := range s.root {
		root[i] = r * gain >> 8
	}
	// The grain of one row, and that of the row above it: noise is shared a
	// little between neighbours, as demosaicing does it.
	grain := make([]int8, 2*(w+16))
	now, above := grain[:w+16], grain[w+16:]
	s.grainRow(above, key)
	sums := make([]uint32, w+4)
	k0, k1, k2 := s.lens[0], s.lens[1], s.lens[2]
	for y := range h {
		s.grainRow(now, hash(key, int64(y)))
		line := func(dy int) []uint16 { return lit[min(max(y+dy, 0), h-1)*w:][:w] }
		up2, up, mid, down, down2 := line(-2), line(-1), line(0), line(1), line(2)
		sum := sums[2 : w+2]
		for x, v := range mid {
			sum[x] = k0*uint32(v) + k1*(uint32(up[x])+uint32(down[x])) + k2*(uint32(up2[x])+uint32(down2[x]))
		}
		sums[0], sums[1], sums[w+2], sums[w+3] = sum[0], sum[0], sum[w-1], sum[w-1]
		row := out.Pix[y*out.Stride:][:w]
		response := s.response[y*w:][:w]
		loss := s.edgeX[:w]
		keep := 65536 - int32(s.edgeY[y])
		for x := range row {
			blur := int32((k0*sums[x+2] + k1*(sums[x+1]+sums[x+3]) + k2*(sums[x]+sums[x+4])) >> 8) // luma x 64
			level := int64(blur) * int64(keep-int32(loss[x])+int32(response[x])*64)                // luma x 64 x 65536
			v := int32(level >> 6)                                                                 // luma x 65536
			g := 5*int32(now[x+1]) + int32(now[x]) + int32(above[x+1])
			v += g*root[uint32(v)>>16&255] + 1<<15
			row[x] = uint8(clamp(v>>16, 0, 255))
		}
		now, above = above, now
	}
}

// grainRow fills g with normal values of standard deviation 32.
func (s *sensor) grainRow(g []int8, key uint64) {
	for i := 0; i+8 <= len(g); i += 8 {
		key += golden
		hi, lo := bits.Mul64(key, key^0xa0761d6478bd642f)
		z := hi ^ lo
		o := g[i : i+8 : i+8]
		o[0], o[1] = s.normal[z&255], s.normal[z>>8&255]
		o[2], o[3] = s.normal[z>>16&255], s.normal[z>>24&255]
		o[4], o[5] = s.normal[z>>32&255], s.normal[z>>40&255]
		o[6], o[7] = s.normal[z>>48&255], s.normal[z>>56]
	}
}
