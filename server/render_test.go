package server

import (
	"bytes"
	"image"
	"image/jpeg"
	"net/http"
	"testing"
	"testing/synctest"

	"porthole/server/picture"
)

// TestEncodedAnew: no uploaded byte and none of a recorded file reaches a
// viewer. Whatever the tables and segments of the source, the head of the
// public picture is the same, and its picture is that of the source.
func TestEncodedAnew(t *testing.T) {
	const head = 2 + 69 + 13 // SOI, DQT, SOF0: all that comes before the picture's own codes
	coarse := func(n byte) []byte {
		img, err := jpeg.Decode(bytes.NewReader(shot(n)))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 30}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		_, recorded := s.get("/latest")
		if got := number(t, recorded); got != 1 {
			t.Fatalf("the loop shows %d", got)
		}
		if bytes.Contains(recorded, shot(1)[2:head]) {
			t.Error("the head of the recorded file reached the public")
		}
		for _, sent := range [][]byte{shot(170), coarse(170)} {
			s.upload(sent)
			_, public := s.get("/latest")
			if got := number(t, public); got != 170 {
				t.Errorf("shown %d", got)
			}
			if !bytes.Equal(public[:head], recorded[:head]) {
				t.Errorf("heads differ:\nlive     %x\nrecorded %x", public[:head], recorded[:head])
			}
			if bytes.Equal(public, sent) {
				t.Error("the upload itself was shown")
			}
		}
	})
}

// TestPassThrough: the one configuration that shows uploads as they are, for
// days of virtual time.
func TestPassThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Pipeline = picture.PassThrough() }))
		s.upload(shot(5))
		if _, public := s.get("/latest"); !bytes.Equal(public, shot(5)) {
			t.Error("the upload was changed")
		}
	})
}

// TestMaskedEverywhere: what is behind a mask is on neither side of the server.
func TestMaskedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := picture.New(picture.Config{Camera: image.Pt(32, 16), Masks: []image.Rectangle{image.Rect(0, 0, 16, 16)}})
		if err != nil {
			t.Fatal(err)
		}
		srv := testServer(t, func(c *Config) { c.Pipeline = p })
		s := start(t, srv)
		s.upload(shot(0b1111_1111))
		_, public := s.get("/latest")
		req, err := http.NewRequest("GET", "http://127.0.0.1:9100/admin/upload.jpg", nil)
		if err != nil {
			t.Fatal(err)
		}
		rec := newRecorder()
		srv.Admin().ServeHTTP(rec, req)
		for side, data := range map[string][]byte{"public": public, "private": rec.body.Bytes()} {
			m, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("%s: %v", side, err)
			}
			for i, v := range m.(*image.Gray).Pix {
				if bright := v > 100; bright != (i%32 >= 16) {
					t.Fatalf("%s: level %d at (%d, %d)", side, v, i%32, i/32)
				}
			}
		}
	})
}
