package nvs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Value is one typed value. The zero Value is none.
type Value struct {
	typ  Type
	num  uint64 // integers, sign-extended
	data []byte // strings without NUL, blobs; never nil for those
}

// Integer types a Value is made from.
type integer interface {
	uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64
}

// Int makes an integer value; its stored type is that of v.
func Int[T integer](v T) Value {
	var t Type
	switch any(v).(type) {
	case uint8:
		t = U8
	case uint16:
		t = U16
	case uint32:
		t = U32
	case uint64:
		t = U64
	case int8:
		t = I8
	case int16:
		t = I16
	case int32:
		t = I32
	case int64:
		t = I64
	}
	return Value{typ: t, num: uint64(v)}
}

// Text makes a string value.
func Text(s string) Value { return Value{typ: String, data: []byte(s)} }

// Bytes makes a blob value; b is copied.
func Bytes(b []byte) Value { return Value{typ: Blob, data: append([]byte{}, b...)} }

// Type gives the stored type, 0 for none.
func (v Value) Type() Type { return v.typ }

// Uint gives an unsigned integer.
func (v Value) Uint() (uint64, bool) {
	return v.num, v.typ.integer() && v.typ&0x10 == 0
}

// Int gives a signed integer.
func (v Value) Int() (int64, bool) {
	return int64(v.num), v.typ.integer() && v.typ&0x10 != 0
}

// Text gives a string.
func (v Value) Text() (string, bool) {
	return string(v.data), v.typ == String
}

// Blob gives a copy of a blob.
func (v Value) Blob() ([]byte, bool) {
	if v.typ != Blob {
		return nil, false
	}
	return bytes.Clone(v.data), true
}

// Equal says whether type and content are the same.
func (v Value) Equal(w Value) bool {
	return v.typ == w.typ && v.num == w.num && bytes.Equal(v.data, w.data)
}

// Describe tells the type and size, never the content: stores hold passwords.
func (v Value) Describe() string {
	switch {
	case v.typ == 0:
		return "nothing"
	case v.typ.integer():
		return v.typ.String()
	}
	return fmt.Sprintf("%s of %d bytes", v.typ, len(v.data))
}

// check says whether the format can hold the value.
func (v Value) check() error {
	switch {
	case v.typ.integer():
		return nil
	case v.typ == String && strings.IndexByte(string(v.data), 0) >= 0:
		return &Error{Kind: BadValue, Want: 0, Got: len(v.data)}
	case v.typ == String && len(v.data) >= MaxString:
		return &Error{Kind: TooLong, Want: MaxString - 1, Got: len(v.data)}
	case v.typ == Blob && len(v.data) > MaxBlob:
		return &Error{Kind: TooLong, Want: MaxBlob, Got: len(v.data)}
	case v.typ != String && v.typ != Blob:
		return &Error{Kind: BadValue}
	}
	return nil
}

// readInt sign-extends an integer of 1, 2, 4 or 8 bytes.
func readInt(t Type, b []byte) Value {
	var n uint64
	switch t {
	case U8:
		n = uint64(b[0])
	case I8:
		n = uint64(int8(b[0]))
	case U16:
		n = uint64(binary.LittleEndian.Uint16(b))
	case I16:
		n = uint64(int16(binary.LittleEndian.Uint16(b)))
	case U32:
		n = uint64(binary.LittleEndian.Uint32(b))
	case I32:
		n = uint64(int32(binary.LittleEndian.Uint32(b)))
	default:
		n = binary.LittleEndian.Uint64(b)
	}
	return Value{typ: t, num: n}
}
