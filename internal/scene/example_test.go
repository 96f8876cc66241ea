package scene_test

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"log"
	"time"

	"porthole/internal/scene"
)

// The far end of a feed learns from the picture alone which frame it shows and
// how old it is.
func Example() {
	s, err := scene.New(scene.Config{
		Seed:  1,
		Epoch: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
		Stamp: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	upload := s.JPEG(7, s.At(7))

	picture, err := jpeg.Decode(bytes.NewReader(upload))
	if err != nil {
		log.Fatal(err)
	}
	stamp, err := scene.ReadStamp(picture)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(picture.Bounds().Max, "frame", stamp.Seq, "of", stamp.Captured.Format(time.TimeOnly))
	// Output: (800,600) frame 7 of 09:27:07
}
