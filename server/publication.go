package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// publication is one picture as the public gets it: built once, never changed,
// shared by all viewers.
type publication struct {
	etag string // quoted, as sent
	jpeg []byte
	at   time.Time // of publication; the time of capture never leaves the server
	// The header values, made once so that a request allocates none.
	etagValue, length []string
}

// Header values shared by all publications. They are never changed.
var (
	typeJPEG    = []string{"image/jpeg"}
	noStore     = []string{"no-store"}
	anyOrigin   = []string{"*"}
	exposeETag  = []string{"ETag"}
	crossOrigin = []string{"cross-origin"}
)

// publisher numbers publications and names them.
type publisher struct {
	secret [32]byte
	seq    uint64
}

func newPublisher() (*publisher, error) {
	p := new(publisher)
	_, err := rand.Read(p.secret[:])
	return p, err
}

// publish returns the publication of one picture. Its ETag comes from a secret
// and the number, never from content: it tells nothing, and neither a repeated
// picture of the loop nor a restart of the server repeats one.
func (p *publisher) publish(jpeg []byte, now time.Time) *publication {
	p.seq++
	mac := hmac.New(sha256.New, p.secret[:])
	binary.Write(mac, binary.BigEndian, p.seq)
	etag := `"` + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12]) + `"`
	return &publication{
		etag: etag, jpeg: jpeg, at: now,
		etagValue: []string{etag}, length: []string{strconv.Itoa(len(jpeg))},
	}
}

// serve answers a GET or HEAD. The header set is the same for every picture.
func (p *publication) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Etag"] = p.etagValue
	h["Cache-Control"] = noStore
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Access-Control-Expose-Headers"] = exposeETag
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	if matchesETag(r.Header["If-None-Match"], p.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = typeJPEG
	h["Content-Length"] = p.length
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(p.jpeg)
	}
}

// matchesETag reports whether an If-None-Match header names etag, by the weak
// comparison of RFC 9110 section 13.1.2.
func matchesETag(header []string, etag string) bool {
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
			if item == etag || item == "*" {
				return true
			}
		}
	}
	return false
}
