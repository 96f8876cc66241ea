package boardcfg

import (
	"fmt"
	"strconv"
	"strings"
)

// The picture that a crop is cut from.
const (
	fullWidth  = 800
	fullHeight = 600
)

// Crop is the part of the picture that the sensor delivers. The zero value is
// all of it.
type Crop struct{ W, H, X, Y int }

// ParseCrop reads WxH+X+Y; the empty string is no crop.
func ParseCrop(s string) (Crop, error) {
	if s == "" {
		return Crop{}, nil
	}
	bad := fmt.Errorf("parse crop %.32q: want WxH+X+Y", s)
	size, at, ok := strings.Cut(s, "+")
	if !ok {
		return Crop{}, bad
	}
	w, h, ok1 := strings.Cut(size, "x")
	x, y, ok2 := strings.Cut(at, "+")
	if !ok1 || !ok2 {
		return Crop{}, bad
	}
	var n [4]int
	for i, part := range []string{w, h, x, y} {
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return Crop{}, bad
		}
		n[i] = int(v)
	}
	c := Crop{W: n[0], H: n[1], X: n[2], Y: n[3]}
	if c == (Crop{}) {
		return Crop{}, bad
	}
	if why := c.check(); why != "" {
		return Crop{}, fmt.Errorf("parse crop %.32q: %s", s, why)
	}
	return c, nil
}

func (c Crop) String() string {
	if c == (Crop{}) {
		return ""
	}
	return fmt.Sprintf("%dx%d+%d+%d", c.W, c.H, c.X, c.Y)
}

func (c Crop) check() string {
	switch {
	case c == Crop{}:
		return ""
	case c.W < 16 || c.H < 8 || c.X < 0 || c.Y < 0 || c.X+c.W > fullWidth || c.Y+c.H > fullHeight:
		return fmt.Sprintf("is not within %dx%d", fullWidth, fullHeight)
	case c.W%16 != 0 || c.H%8 != 0 || c.X%4 != 0 || c.Y%4 != 0:
		return "width must be a multiple of 16, height of 8, offsets of 4"
	}
	return ""
}
