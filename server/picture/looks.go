package picture

// Thumb fills thumb, row by row, with the mean brightness of the frame's parts:
// width by height of them, each at least a pixel. It is left as it is after a
// pass-through.
func (a *Admitted) Thumb(thumb []uint8, width, height int) {
	if a.gray == nil || a.info.Width < width || a.info.Height < height {
		return
	}
	w, h := a.info.Width, a.info.Height
	for j := range height {
		top, bottom := j*h/height, (j+1)*h/height
		for i := range width {
			left, right := i*w/width, (i+1)*w/width
			sum := 0
			for y := top; y < bottom; y++ {
				for _, v := range a.gray.Pix[y*a.gray.Stride+left : y*a.gray.Stride+right] {
					sum += int(v)
				}
			}
			n := (bottom - top) * (right - left)
			thumb[j*width+i] = uint8((sum + n/2) / n)
		}
	}
}
