package esprom

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"porthole/internal/slip"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors pins the worked vectors of esp32-serial 1.1 and 1.2.
func TestVectors(t *testing.T) {
	for _, tt := range []struct {
		name string
		body []byte
		wire string
	}{
		{"READ_REG", ReadReg{RegMagic}.Request().Append(nil), "c0 00 0a 04 00 00 00 00 00 00 10 00 40 c0"},
		{"READ_REG answer of the ROM", Response{Op: ReadRegOp, Value: ChipMagic, Data: make([]byte, ROMStatus)}.Append(nil),
			"c0 01 0a 04 00 83 1d f0 00 00 00 00 00 c0"},
		{"FLASH_DATA with both escapes", Data{Op: FlashData, Block: []byte{1, 2, 0xC0, 0xDB}}.Request().Append(nil),
			"c0 00 03 14 00 f7 00 00 00 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 02 db dc db dd c0"},
		{"SYNC", Sync{}.Request().Append(nil), "c0 00 08 24 00 00 00 00 00 07 07 12 20" + strings.Repeat("55", 32) + "c0"},
		{"unknown command after SYNC", Response{Op: SyncOp, Value: 0x55551207, Data: []byte{1, 5, 0, 0}}.Append(nil),
			"c0 01 08 04 00 07 12 55 55 01 05 00 00 c0"},
	} {
		if got, want := slip.Append(nil, tt.body), unhex(t, tt.wire); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got % x\nwant % x", tt.name, got, want)
		}
	}
	if n := len(slip.Append(nil, Sync{}.Request().Append(nil))); n != 46 {
		t.Errorf("SYNC is %d bytes on the wire", n)
	}
}

func TestCommandsRoundTrip(t *testing.T) {
	block := []byte{0xC0, 0xDB, 1, 2}
	for _, c := range []Command{
		Sync{Payload: SyncData()}, ReadReg{0x3FF5A000},
		WriteReg{{1, 2, 3, 4}}, WriteReg{{1, 2, 3, 4}, {0x60000078, 0, 0, 99}},
		Begin{Op: FlashBegin, Size: 0x6800, Blocks: 26, BlockSize: ROMBlock, Offset: 0x10000},
		Begin{Op: DeflBegin, Size: 1, Blocks: 2, BlockSize: 3, Offset: 4, Long: true, Encrypt: 1},
		Begin{Op: MemBegin, Size: 3532, Blocks: 1, BlockSize: RAMBlock, Offset: 0x400BE000},
		Data{Op: FlashData, Seq: 7, Block: block, Len: 4, Check: Checksum(block)},
		Data{Op: DeflData, Block: []byte{}, Check: ChecksumSeed},
		Data{Op: MemData, Seq: 1 << 31, Block: block, Len: 4, Check: Checksum(block)},
		End{Op: FlashEnd}, End{Op: DeflEnd, Stay: true},
		Jump{Entry: 0x400BE5EC}, Jump{Stay: true},
		ParamsFor(4 << 20), Attach{ROM: true}, Attach{Pins: 1},
		SlowRead{0x1000, 64}, Baud{921600, 115200}, Digest{0x10000, 0x6790},
		EraseRegion{0x1000, 0x2000}, ReadFlash{0, 0x4000, 0x1000, 64},
		Bare{Op: EraseFlashOp, Data: []byte{}}, Bare{Op: RunUserCodeOp, Data: []byte{}},
		Bare{Op: GetSecurityInfo, Data: make([]byte, 20)}, Bare{Op: 0xD7, Data: []byte{1}},
	} {
		r, err := ParseRequest(c.Request().Append(nil))
		if err != nil {
			t.Errorf("%#v: %v", c, err)
			continue
		}
		if r.Size != len(r.Data) {
			t.Errorf("%v: size field %d, data %d", r.Op, r.Size, len(r.Data))
		}
		got, err := r.Command()
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("got %#v, %v\nwant %#v", got, err, c)
		}
		if d, ok := got.(Data); ok && !d.Intact() {
			t.Errorf("%v: not intact", d.Op)
		}
	}
}

// TestShortData walks every fixed-layout command through every length below its
// own: each must be refused, none may panic.
func TestShortData(t *testing.T) {
	for op, want := range map[Op]int{
		FlashBegin: 16, DeflBegin: 16, MemBegin: 16, FlashData: 16, DeflData: 16, MemData: 16,
		FlashEnd: 4, DeflEnd: 4, MemEnd: 8, WriteRegOp: 16, ReadRegOp: 4, SPISetParams: 24,
		SPIAttachOp: 4, ReadFlashSlow: 8, ChangeBaudOp: 8, FlashMD5: 16, EraseRegionOp: 8, ReadFlashOp: 16,
	} {
		for n := range want + 1 {
			_, err := Request{Op: op, Data: make([]byte, n)}.Command()
			le, short := errors.AsType[*LengthError](err)
			if short != (n < want) || short && (le.Got != n || le.Want != want) {
				t.Errorf("%v with %d of %d bytes: %v", op, n, want, err)
			}
		}
	}
}

func TestIntact(t *testing.T) {
	block := []byte{1, 2, 3}
	good := Data{Op: FlashData, Block: block, Len: 3, Check: Checksum(block)}
	if !good.Intact() {
		t.Error("good block refused")
	}
	for name, d := range map[string]Data{
		"checksum": {Block: block, Len: 3, Check: good.Check ^ 1},
		"short":    {Block: block[:2], Len: 3, Check: Checksum(block[:2])},
		"long":     {Block: block, Len: 2, Check: good.Check},
	} {
		if d.Intact() {
			t.Errorf("wrong %s accepted", name)
		}
	}
}

func TestHeader(t *testing.T) {
	for n := range HeaderSize {
		if _, err := ParseRequest(make([]byte, n)); err == nil {
			t.Errorf("request of %d bytes accepted", n)
		}
	}
	req, resp := make([]byte, HeaderSize), []byte{1, 8, 0, 0, 0, 0, 0, 0}
	if _, err := ParseRequest(resp); err == nil {
		t.Error("response accepted as request")
	}
	if _, err := ParseResponse(req); err == nil {
		t.Error("request accepted as response")
	}
}

func TestResult(t *testing.T) {
	sum := [16]byte{0xD4, 0x1D, 15: 0x7E}
	for _, tt := range []struct {
		name    string
		stub    bool
		payload int
		data    []byte
		want    any // payload, Code or nil for a LengthError
	}{
		{"ROM ok", false, 0, []byte{0, 0, 0, 0}, []byte{}},
		{"ROM ok with stale error byte", false, 0, []byte{0, 5, 2, 3}, []byte{}},
		{"ROM refuses", false, 0, []byte{1, 7, 0, 0}, ErrChecksum},
		{"stub ok", true, 0, []byte{0, 0}, []byte{}},
		{"stub refuses", true, 0, []byte{0xC1, 0}, StubChecksum},
		{"ROM digest", false, 32, append(AppendDigest(nil, sum, false), 0, 0, 0, 0), AppendDigest(nil, sum, false)},
		{"stub digest", true, 16, append(AppendDigest(nil, sum, true), 0, 0), sum[:]},
		{"digest refused without payload", false, 32, []byte{1, 6, 0, 0}, ErrFailed},
		{"slow read refused with stale payload", false, 64, append(make([]byte, 64), 1, 0x0A, 0, 0), ErrReadLength},
		{"empty", false, 0, nil, nil},
		{"one byte", true, 0, []byte{0}, nil},
		{"digest cut", true, 16, make([]byte, 17), nil},
	} {
		got, err := Response{Op: FlashMD5, Data: tt.data}.Result(tt.payload, tt.stub)
		switch want := tt.want.(type) {
		case []byte:
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: % x, %v", tt.name, got, err)
			}
		case Code:
			if se, ok := errors.AsType[*StatusError](err); !ok || se.Code != want || se.Stub != tt.stub {
				t.Errorf("%s: %v", tt.name, err)
			}
		default:
			if _, ok := errors.AsType[*LengthError](err); !ok {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

func TestDigest(t *testing.T) {
	sum := [16]byte{1, 2, 0xAB, 15: 0xFF}
	for _, stub := range []bool{false, true} {
		p := AppendDigest(nil, sum, stub)
		if len(p) != PayloadLen(FlashMD5, stub) {
			t.Errorf("stub %v: %d bytes", stub, len(p))
		}
		if got, err := ParseDigest(p); err != nil || got != sum {
			t.Errorf("stub %v: %x, %v", stub, got, err)
		}
	}
	for _, bad := range []string{"", "0102", strings.Repeat("g", 32), strings.Repeat("0", 31)} {
		if _, err := ParseDigest([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

// TestEfuses checks the values of esp32-serial 2.1, read from a real chip.
func TestEfuses(t *testing.T) {
	mac := MAC{0x94, 0xB9, 0x7E, 0x5A, 0x6E, 0x58}
	if w1, w2 := mac.Words(); w1 != 0x7E5A6E58 || w2 != 0x00E294B9 {
		t.Errorf("MAC words %08x %08x", w1, w2)
	}
	if got, err := MACFromWords(0x7E5A6E58, 0x00E294B9); err != nil || got != mac {
		t.Errorf("MAC %v, %v", got, err)
	}
	if _, err := MACFromWords(0x7E5A6E59, 0x00E294B9); !errors.Is(err, ErrMACCheck) {
		t.Errorf("wrong CRC: %v", err)
	}
	if mac.String() != "94:b9:7e:5a:6e:58" {
		t.Errorf("printed as %v", mac)
	}
	if w3, w5, apb := (Revision{3, 1}).Bits(); w3 != 0x8000 || w5 != 0x01100000 || apb != 1<<31 {
		t.Errorf("v3.1: %x %x %x", w3, w5, apb)
	}
	for major := range uint8(4) {
		for minor := range uint8(4) {
			r := Revision{major, minor}
			if got := RevisionFrom(r.Bits()); got != r {
				t.Errorf("%v reads back as %v", r, got)
			}
		}
	}
	for _, p := range []Package{D0WDQ6, D0WD, D2WD, U4WDH, PicoD4, PicoV302, D0WDR2V3, 9} {
		if got := PackageFrom(p.Bits()); got != p {
			t.Errorf("package %d reads back as %d", p, got)
		}
	}
}

func TestClkDiv(t *testing.T) {
	for baud, want := range map[int]uint32{
		115200: 0x0030015B, 230400: 0x009000AD, 460800: 0x00C00056, 921600: 0x0060002B,
	} {
		if got := ClkDiv(baud); got != want {
			t.Errorf("%d: divider %#08x, want %#08x", baud, got, want)
		}
	}
	ClkDiv(0) // must not divide by zero
}

func TestFlashID(t *testing.T) {
	for _, tt := range []struct {
		id   uint32
		size int
	}{
		{0x001640EF, 4 << 20}, {0x001740EF, 8 << 20}, {0x001640C8, 4 << 20}, {0x1440EF, 1 << 20},
		{0x1A40EF, 64 << 20}, {0x01471F, 4 << 20}, {0x14_001F, 0}, {0xFFFFFF, 0}, {0, 0},
	} {
		if got := FlashSize(tt.id); got != tt.size {
			t.Errorf("%#08x: %d bytes, want %d", tt.id, got, tt.size)
		}
	}
	for size := 1 << 20; size <= 64<<20; size *= 2 {
		if got := FlashSize(FlashID(0xEF, 0x40, size)); got != size {
			t.Errorf("%d bytes read back as %d", size, got)
		}
	}
	if FlashID(0xEF, 0x40, 4<<20) != 0x001640EF {
		t.Error("W25Q32")
	}
}

func TestNames(t *testing.T) {
	for op, name := range opNames {
		if got, ok := ParseOp(name); !ok || got != op {
			t.Errorf("%q reads back as %v", name, got)
		}
	}
	if Op(0x77).String() != "op 0x77" {
		t.Error(Op(0x77))
	}
	if got := StubChecksum.Text(true); got != "wrong checksum (stub 0xc1)" {
		t.Error(got)
	}
	if got := StubChecksum.Text(false); !strings.HasPrefix(got, "unknown") {
		t.Error(got)
	}
}

func TestWaitFor(t *testing.T) {
	for _, tt := range []struct {
		op   Op
		size int64
		want time.Duration
	}{
		{ReadRegOp, 0, 3 * time.Second}, {SyncOp, 0, 100 * time.Millisecond},
		{FlashMD5, 4 << 20, 32 * time.Second}, {FlashMD5, 4096, 10 * time.Second},
		{EraseRegionOp, 1 << 20, 30 * time.Second}, {FlashBegin, -1, 10 * time.Second},
	} {
		if got := WaitFor(tt.op, tt.size); got != tt.want {
			t.Errorf("%v of %d bytes: %v, want %v", tt.op, tt.size, got, tt.want)
		}
	}
}

func TestIsStubEntry(t *testing.T) {
	for entry, want := range map[uint32]bool{
		0x400BE5EC: true, 0x400A9074: true, 0x400A0000: true, 0x400BFFFF: true,
		0x4009FFFF: false, 0x400C0000: false, 0x40080400: false, 0: false,
	} {
		if IsStubEntry(entry) != want {
			t.Errorf("%#x: %v", entry, !want)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(Sync{}.Request().Append(nil))
	f.Add(Data{Op: DeflData, Block: []byte{1}}.Request().Append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseRequest(body)
		if err != nil {
			return
		}
		c, err := r.Command()
		if err != nil {
			if _, ok := errors.AsType[*LengthError](err); !ok {
				t.Fatalf("unexpected error %T", err)
			}
			return
		}
		// Encoding the command and reading it again is stable, whatever the
		// received header claimed.
		once := c.Request()
		again, err := Request{Op: once.Op, Check: once.Check, Data: once.Data}.Command()
		if err != nil {
			t.Fatalf("%#v does not read back: %v", c, err)
		}
		if d, ok := again.(Data); ok && !d.Intact() {
			t.Fatalf("%#v: encoded block is not intact", c)
		}
		if twice := again.Request(); !reflect.DeepEqual(once, twice) {
			t.Fatalf("unstable:\n%#v\n%#v", once, twice)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add(Response{Op: ReadRegOp, Value: ChipMagic, Data: make([]byte, 4)}.Append(nil), uint8(0), false)
	f.Add(Response{Op: FlashMD5, Data: make([]byte, 18)}.Append(nil), uint8(16), true)
	f.Fuzz(func(t *testing.T, body []byte, payload uint8, stub bool) {
		r, err := ParseResponse(body)
		if err != nil {
			return
		}
		p, err := r.Result(int(payload), stub)
		if err == nil && len(p) != int(payload) {
			t.Fatalf("payload of %d bytes, want %d", len(p), payload)
		}
		if err == nil {
			if sum, err := ParseDigest(p); err == nil && len(p) == 16 && !bytes.Equal(sum[:], p) {
				t.Fatal("digest changed")
			}
		}
		r2, err := ParseResponse(r.Append(nil))
		if err != nil || r2.Op != r.Op || r2.Value != r.Value || !bytes.Equal(r2.Data, r.Data) {
			t.Fatalf("does not round-trip: %#v, %v", r2, err)
		}
	})
}
