package nvs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ff(n int) string { return strings.Repeat("ff", n) }
func zz(n int) string { return strings.Repeat("00", n) }

func set(t *testing.T, s *Store, ns, key string, v Value) {
	t.Helper()
	if err := s.Set(ns, key, v); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, s *Store, size int) []byte {
	t.Helper()
	b, err := s.Bytes(size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, b []byte) *Store {
	t.Helper()
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func harness(t *testing.T) *Store {
	s := new(Store)
	set(t, s, "harness", "ssid", Text("TestNet"))
	set(t, s, "harness", "port", Int(uint16(8443)))
	set(t, s, "harness", "magic", Int(uint32(0xDEADBEEF)))
	return s
}

// The worked example of esp32-serial 6, made by the vendor's generator.
func TestVector(t *testing.T) {
	want := unhex(t, "feffffff 00000000 feffffff"+ff(16)+"842dbab9"+
		"aafe"+ff(30)+
		"000101ff 2537bfdb 6861726e657373"+zz(9)+"01"+ff(7)+
		"012102ff c313b6cf 73736964"+zz(12)+"0800ffff d6c27d08"+
		"546573744e657400"+ff(24)+
		"010201ff 5aba816c 706f7274"+zz(12)+"fb20"+ff(6)+
		"010401ff 2b6fe903 6d61676963"+zz(11)+"efbeadde"+ff(4))
	got := write(t, harness(t), 0x6000)
	if !bytes.Equal(got[:len(want)], want) {
		t.Errorf("partition starts\n%x, want\n%x", got[:len(want)], want)
	}
	sum := sha256.Sum256(got)
	if h := hex.EncodeToString(sum[:]); h != "148384c05288900d37634d7c23796ae41e4f6736e664124ed4b217a16a88d107" {
		t.Errorf("SHA-256 of the partition is %s", h)
	}
	if !parse(t, got).Equal(harness(t)) {
		t.Error("the partition reads back differently")
	}
}

func TestBlobVector(t *testing.T) {
	s := harness(t)
	set(t, s, "harness", "blob", Bytes([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")))
	b := write(t, s, 0x6000)
	at := entriesOffset + 5*entrySize
	if got, want := b[at:at+32], unhex(t, "01420300 e3bb291c 626c6f62"+zz(12)+"3b00ffff d7338bfd"); !bytes.Equal(got, want) {
		t.Errorf("chunk header\n%x, want\n%x", got, want)
	}
	at += 3 * entrySize
	if got, want := b[at:at+32], unhex(t, "014801ff 71b073a4 626c6f62"+zz(12)+"3b000000 0100ffff"); !bytes.Equal(got, want) {
		t.Errorf("index\n%x, want\n%x", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	values := map[string]Value{
		"u8": Int(uint8(255)), "u16": Int(uint16(65535)), "u32": Int(uint32(1 << 31)), "u64": Int(uint64(1 << 63)),
		"i8": Int(int8(-128)), "i16": Int(int16(-1)), "i32": Int(int32(-1 << 31)), "i64": Int(int64(-1 << 63)),
		"empty": Text(""), "text": Text("häß"), "no blob": Bytes(nil), "blob": Bytes([]byte{0, 1, 0xFF}),
	}
	s := new(Store)
	for k, v := range values {
		set(t, s, "types", k, v)
	}
	back := parse(t, write(t, s, MinSize))
	for k, v := range values {
		got, err := back.LookupType("types", k, v.Type())
		if err != nil || !got.Equal(v) {
			t.Errorf("%s: %s, want %s, %v", k, got.Describe(), v.Describe(), err)
		}
	}
	if n, _ := values["i8"].Int(); n != -128 {
		t.Errorf("i8 is %d", n)
	}
	if v, _ := back.Lookup("types", "i64"); v.num != 1<<63 {
		t.Errorf("i64 is %x", v.num)
	}
	if _, err := back.LookupType("types", "u8", U16); !errors.Is(err, &Error{Kind: WrongType}) {
		t.Errorf("u8 as u16: %v", err)
	}
	if _, err := back.Lookup("types", "nothing"); !errors.Is(err, &Error{Kind: NotFound}) {
		t.Errorf("missing key: %v", err)
	}
	if v, _ := back.Lookup("types", "text"); strings.Contains(v.Describe(), "h") {
		t.Errorf("description %q shows the value", v.Describe())
	}
}

// Sizes around every boundary of entry, page and chunk, at every fill of the
// page they start in.
func TestPageBoundaries(t *testing.T) {
	for _, before := range []int{0, 1, 60, 121, 122, 123, 124, 125, 126, 127} {
		for _, n := range []int{0, 1, 31, 32, 33, 3967, 3968, 3998, 3999, 4000, 4001, 8000, 8001, 12000} {
			s := new(Store)
			for i := range before {
				set(t, s, "a", fmt.Sprint(i), Int(uint8(i)))
			}
			set(t, s, "b", "blob", Bytes(bytes.Repeat([]byte{7}, n)))
			set(t, s, "b", "after", Int(uint8(1)))
			if n < MaxString {
				set(t, s, "b", "text", Text(strings.Repeat("x", n)))
			}
			b := write(t, s, 8*PageSize)
			if !parse(t, b).Equal(s) {
				t.Errorf("%d entries, then %d bytes: reads back differently", before, n)
			}
			checkPages(t, b)
		}
	}
}

// checkPages looks at what the reader is lenient about: states, order, the
// empty last page, and that no data is marked beyond a page.
func checkPages(t *testing.T, b []byte) {
	t.Helper()
	n := len(b) / PageSize
	used := 0
	for ; used < n && b[used*PageSize] != 0xFF; used++ {
	}
	for i := range n {
		p := b[i*PageSize:][:PageSize]
		switch {
		case i >= used && !erased(p):
			t.Fatalf("page %d of %d is not erased", i, n)
		case i < used-1 && p[0] != 0xFC, i == used-1 && p[0] != 0xFE:
			t.Fatalf("page %d of %d used has state %02x", i, used, p[0])
		case i < used && p[4] != byte(i):
			t.Fatalf("page %d has sequence %d", i, p[4])
		}
	}
	if used == n {
		t.Fatal("no page is left empty")
	}
	empty := map[place]bool{} // blobs with an empty chunk
	for i := range used {
		p := &page{b: b[i*PageSize:][:PageSize]}
		for k := 0; k < pageEntries && p.entryState(k) == stateWritten; k += max(1, p.at(k).span()) {
			e := p.at(k)
			blob := place{namespace: e.namespace(), key: e.key()}
			if e.typ() == Blob && e.chunk() > 0 && (e.size() == 0 || empty[blob]) {
				t.Fatalf("page %d entry %d: %q has an empty chunk", i, k, e.key())
			}
			if e.typ() == Blob && e.size() == 0 {
				empty[blob] = true
			}
			if e.typ() == String && k > 0 && k+e.span() == pageEntries {
				t.Fatalf("page %d is filled to the end with a string", i)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		ns, key string
		v       Value
		kind    Kind
	}{
		{"key of 15", "n", strings.Repeat("k", 15), Int(uint8(0)), 0},
		{"key of 16", "n", strings.Repeat("k", 16), Int(uint8(0)), BadKey},
		{"no key", "n", "", Int(uint8(0)), BadKey},
		{"NUL in a key", "n", "a\x00b", Int(uint8(0)), BadKey},
		{"namespace of 15", strings.Repeat("n", 15), "k", Int(uint8(0)), 0},
		{"namespace of 16", strings.Repeat("n", 16), "k", Int(uint8(0)), BadKey},
		{"no namespace", "", "k", Int(uint8(0)), BadKey},
		{"string of 3999", "n", "k", Text(strings.Repeat("x", 3999)), 0},
		{"string of 4000", "n", "k", Text(strings.Repeat("x", 4000)), TooLong},
		{"NUL in a string", "n", "k", Text("a\x00b"), BadValue},
		{"largest blob", "n", "k", Bytes(make([]byte, MaxBlob)), 0},
		{"larger blob", "n", "k", Bytes(make([]byte, MaxBlob+1)), TooLong},
		{"nothing", "n", "k", Value{}, BadValue},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(Store)
			err := s.Set(c.ns, c.key, c.v)
			if e, ok := errors.AsType[*Error](err); c.kind == 0 && err != nil || c.kind != 0 && (!ok || e.Kind != c.kind) {
				t.Fatalf("error %v, want kind %d", err, c.kind)
			}
			if c.kind != 0 && len(s.spaces) != 0 {
				t.Error("a refused value left a namespace behind")
			}
			if c.kind == 0 && !parse(t, write(t, s, 160*PageSize)).Equal(s) {
				t.Error("reads back differently")
			}
		})
	}
	s := new(Store)
	for i := range maxNamespaces {
		set(t, s, fmt.Sprint("n", i), "k", Int(uint8(1)))
	}
	if err := s.Set("one more", "k", Int(uint8(1))); !errors.Is(err, &Error{Kind: ManyNamespaces}) {
		t.Errorf("namespace 255: %v", err)
	}
	if !parse(t, write(t, s, 6*PageSize)).Equal(s) {
		t.Error("254 namespaces read back differently")
	}
	for _, size := range []int{0, PageSize, 2 * PageSize, MinSize + 1} {
		if _, err := s.Bytes(size); !errors.Is(err, &Error{Kind: BadSize}) {
			t.Errorf("write of %d bytes: %v", size, err)
		}
	}
}

// Two of three pages hold 252 entries, one of which names the namespace; the
// next one does not fit, because the last page stays empty.
func TestFull(t *testing.T) {
	s := new(Store)
	for i := range 2*pageEntries - 1 {
		set(t, s, "n", fmt.Sprint(i), Int(uint8(1)))
	}
	b := write(t, s, MinSize)
	checkPages(t, b)
	set(t, s, "n", "last", Int(uint8(1)))
	if _, err := s.Bytes(MinSize); !errors.Is(err, &Error{Kind: Full}) {
		t.Errorf("one entry too many: %v", err)
	}
	if _, err := s.Bytes(MinSize + PageSize); err != nil {
		t.Errorf("with another page: %v", err)
	}
	for _, n := range []int{8100, 50000} {
		s = new(Store)
		set(t, s, "n", "b", Bytes(make([]byte, n)))
		if _, err := s.Bytes(MinSize); !errors.Is(err, &Error{Kind: Full}) {
			t.Errorf("blob of %d: %v", n, err)
		}
	}
}

// Editing one namespace leaves the others as they were, indices included.
func TestEditKeepsOthers(t *testing.T) {
	s := new(Store)
	set(t, s, "first", "a", Int(uint8(1)))
	set(t, s, "nvs.net80211", "sta.ssid", Bytes(bytes.Repeat([]byte{9}, 36)))
	set(t, s, "nvs.net80211", "opmode", Int(uint8(2)))
	set(t, s, "porthole", "ssid", Text("old"))
	edited := parse(t, write(t, s, MinSize))
	edited.DeleteNamespace("first")
	set(t, edited, "porthole", "ssid", Text("new and longer"))
	set(t, edited, "porthole", "port", Int(uint16(1)))
	if !edited.Delete("nvs.net80211", "opmode") || edited.Delete("nvs.net80211", "opmode") || edited.Delete("none", "k") {
		t.Error("delete reports wrongly")
	}
	set(t, edited, "added", "k", Int(uint8(1)))

	back := parse(t, write(t, edited, MinSize))
	if got := back.Namespaces(); !slices.Equal(got, []string{"nvs.net80211", "porthole", "added"}) {
		t.Errorf("namespaces %q", got)
	}
	if back.space("nvs.net80211").index != 2 || back.space("porthole").index != 3 || back.space("added").index != 1 {
		t.Error("indices changed")
	}
	var keys []string
	for e := range back.EntriesSeq() {
		keys = append(keys, e.Namespace+"/"+e.Key)
	}
	want := []string{"nvs.net80211/sta.ssid", "porthole/ssid", "porthole/port", "added/k"}
	if !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	if v, _ := back.Lookup("porthole", "ssid"); !v.Equal(Text("new and longer")) {
		t.Error("edited value is lost")
	}
}

// Random stores of random shapes survive the trip.
func TestRandomStores(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 200 {
		s := new(Store)
		for range rng.IntN(60) {
			ns, key := fmt.Sprint("n", rng.IntN(5)), fmt.Sprint("k", rng.IntN(30))
			var v Value
			switch rng.IntN(4) {
			case 0:
				v = Int(rng.Uint32())
			case 1:
				v = Int(int16(rng.Uint32()))
			case 2:
				v = Text(strings.Repeat("t", rng.IntN(300)))
			case 3:
				v = Bytes(bytes.Repeat([]byte{byte(round)}, rng.IntN(6000)))
			}
			set(t, s, ns, key, v)
		}
		b := write(t, s, 100*PageSize)
		checkPages(t, b)
		back := parse(t, b)
		if !back.Equal(s) || len(back.Faults()) != 0 {
			t.Fatalf("seed %d round %d: reads back differently, faults %v", seed, round, back.Faults())
		}
		if again := write(t, back, 100*PageSize); !bytes.Equal(again, b) {
			t.Fatalf("seed %d round %d: written again differently", seed, round)
		}
	}
}
