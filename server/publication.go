package server

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"porthole/server/picture"
)

// publication is one picture as the public gets it, in all its renditions:
// built once, never changed, shared by all viewers.
type publication struct {
	tag      string // its public name, random to anybody outside
	at       time.Time
	jpeg     *rendition
	webp     *rendition    // nil where there is none
	replaced chan struct{} // closed once a newer one is shown
	event    []byte        // as event streams send it
}

// webpSuffix tells the ETag of the WebP rendition from that of the JPEG.
const webpSuffix = ".w"

// publisher numbers publications and names them.
type publisher struct {
	secret [32]byte
	seq    uint64
	policy *policy
	file   []byte // see leaks.etag
}

func newPublisher(p *policy) (*publisher, error) {
	pub := &publisher{policy: p}
	_, err := rand.Read(pub.secret[:])
	return pub, err
}

// publish returns the publication of one picture. Its tag comes from a secret
// and the number, never from content: it tells nothing, and neither a repeated
// picture of the loop nor a restart of the server repeats one.
func (p *publisher) publish(r *picture.Result, now time.Time) *publication {
	p.seq++
	mac := hmac.New(sha256.New, p.secret[:])
	var seq [8]byte
	mac.Write(binary.BigEndian.AppendUint64(seq[:0], p.seq))
	tag := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
	if p.file != nil {
		tag = fmt.Sprintf("%x-%x", crc32.ChecksumIEEE(p.file), len(p.file))
		p.file = nil
	}
	pub := &publication{tag: tag, at: now, replaced: make(chan struct{}), event: frameMessage(tag)}
	pub.jpeg = newRendition(p.policy, tag, typeJPEG, r.JPEG)
	if r.WebP != nil {
		pub.webp = newRendition(p.policy, tag+webpSuffix, typeWebP, r.WebP)
	}
	return pub
}

// offer returns the rendition for a path and the Accept header of a request,
// and whether the header had a say; nil where there is none.
func (p *publication) offer(path string, accept []string) (_ *rendition, byAccept bool) {
	switch {
	case path == pathJPEG:
		return p.jpeg, false
	case path == pathWebP:
		return p.webp, false
	case p.webp == nil:
		return p.jpeg, false
	case acceptsWebP(accept):
		return p.webp, true
	}
	return p.jpeg, true
}

// acceptsWebP reports whether an Accept header names image/webp. A wildcard is
// no such name: whoever can show WebP says so.
func acceptsWebP(accept []string) bool {
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			media, params, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(media), "image/webp") {
				continue
			}
			for param := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
				if q, err := strconv.ParseFloat(value, 64); strings.EqualFold(name, "q") && (err != nil || q == 0) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// rendition is one encoding of a publication with its prebuilt answers.
type rendition struct {
	policy *policy
	etag   string // quoted, as sent
	body   []byte
	// The header values, made once so that a request allocates none.
	etagValue, length, contentType []string
	// The answers as bytes, by audience and whether Accept had a say. Each is
	// built when first asked for and again each second, for its Date.
	wire []atomic.Pointer[wireAnswer]
}

func newRendition(p *policy, tag string, contentType []string, body []byte) *rendition {
	etag := `"` + tag + `"`
	return &rendition{
		policy: p, etag: etag, body: body,
		etagValue: []string{etag}, length: []string{strconv.Itoa(len(body))}, contentType: contentType,
		wire: make([]atomic.Pointer[wireAnswer], 2*p.audiences()),
	}
}

// header sets the header of an answer with the picture, or of a 304 about it.
// The set is the same for every picture.
func (d *rendition) header(h http.Header, audience int, byAccept, unchanged bool) {
	h["X-Content-Type-Options"] = noSniff
	h["Etag"] = d.etagValue
	d.policy.keep(h)
	d.policy.share(h, audience)
	if v := d.policy.vary(byAccept); v != nil {
		h["Vary"] = v
	}
	if !unchanged {
		h["Content-Type"] = d.contentType
		h["Content-Length"] = d.length
	}
}

// serve answers a GET or HEAD. It reports whether the answer was a 304.
func (d *rendition) serve(w http.ResponseWriter, r *http.Request, byAccept bool) (unchanged bool) {
	unchanged = matchesETag(r.Header["If-None-Match"], d.etag)
	d.header(w.Header(), d.policy.audience(r.Header.Get("Origin")), byAccept, unchanged)
	if unchanged {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(d.body)
	}
	return false
}

// wireAnswer is an answer as it goes over the wire, for one second.
type wireAnswer struct {
	second    int64
	full      []byte // head and picture
	head      []byte // the beginning of full
	unchanged []byte // a 304
}

// answer returns the bytes that net/http would write for serve.
func (d *rendition) answer(audience int, byAccept bool, now time.Time) *wireAnswer {
	slot := &d.wire[2*audience]
	if byAccept {
		slot = &d.wire[2*audience+1]
	}
	second := now.Unix()
	if a := slot.Load(); a != nil && a.second == second {
		return a
	}
	a := &wireAnswer{second: second}
	date := now.UTC().Format(http.TimeFormat)
	a.full = d.appendHead(make([]byte, 0, 512+len(d.body)), "200 OK", audience, byAccept, false, date)
	a.head = a.full[:len(a.full):len(a.full)]
	a.full = append(a.full, d.body...)
	a.unchanged = d.appendHead(nil, "304 Not Modified", audience, byAccept, true, date)
	slot.Store(a)
	return a
}

// appendHead appends a response head in the order of net/http: the handler's
// fields sorted, then the date.
func (d *rendition) appendHead(b []byte, status string, audience int, byAccept, unchanged bool, date string) []byte {
	h := make(http.Header, 12)
	d.header(h, audience, byAccept, unchanged)
	var fields strings.Builder
	_ = h.Write(&fields) // a strings.Builder takes every write
	b = append(b, "HTTP/1.1 "+status+"\r\n"...)
	b = append(b, fields.String()...)
	return append(b, "Date: "+date+"\r\n\r\n"...)
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
