package frame

import "strings"

// CompareNames orders file names as a person counts: runs of digits by their
// value, everything else byte by byte, so that 2.jpg comes before 10.jpg. Names
// that differ only in leading zeros are ordered by length, shorter first. It is
// the order in which a folder of frames is a sequence.
func CompareNames(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		dx, dy := leadingDigits(x), leadingDigits(y)
		if dx > 0 && dy > 0 {
			nx, ny := strings.TrimLeft(x[:dx], "0"), strings.TrimLeft(y[:dy], "0")
			if len(nx) != len(ny) {
				return sign(len(nx) - len(ny))
			}
			if c := strings.Compare(nx, ny); c != 0 {
				return c
			}
			x, y = x[dx:], y[dy:]
			continue
		}
		if x[0] != y[0] {
			return sign(int(x[0]) - int(y[0]))
		}
		x, y = x[1:], y[1:]
	}
	if c := sign(len(x) - len(y)); c != 0 {
		return c
	}
	if c := sign(len(a) - len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func sign(n int) int { return min(max(n, -1), 1) }
