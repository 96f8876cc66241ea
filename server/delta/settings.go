package delta

// Settings are the trade between bytes and quality.
type Settings struct {
	// Coarse and Fine are the quantiser's base steps, 1 to 255: for what moves
	// or has just changed, and for what rests.
	Coarse, Fine uint8
	// CoarseWeight and FineWeight are how much a bit counts, in hundredths of
	// the squared step.
	CoarseWeight, FineWeight int
	// Search is how far motion is searched, in pixels.
	Search int
}

var (
	// Strict keeps what moves as good as the camera's own JPEG.
	Strict = Settings{Coarse: 16, Fine: 23, CoarseWeight: 30, FineWeight: 30, Search: 24}
	// Global keeps the picture as a whole as good as the camera's own JPEG.
	Global = Settings{Coarse: 38, Fine: 22, CoarseWeight: 30, FineWeight: 30, Search: 24}
)

// quantiser is one of the two steps with what the encoder needs for it.
type quantiser struct {
	steps  steps
	weight int64 // of 1/256 bit, in 1/256 of a squared level
}

func newQuantiser(q uint8, weight int) quantiser {
	return quantiser{newSteps(int(q)), int64(weight) * int64(q) * int64(q) / 100}
}
