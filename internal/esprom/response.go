package esprom

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Status lengths in bytes. Hosts read the first two and ignore the rest, so both
// parse alike; espflash tells the loaders apart by the length of the body.
const (
	ROMStatus  = 4
	StubStatus = 2
)

// A Response is an answer as it stands in a frame.
type Response struct {
	Op    Op
	Value uint32
	// Data is the payload followed by the status bytes. How many of them are
	// payload follows from the command (PayloadLen).
	Data []byte
	// Size is the length field as received. Append ignores it.
	Size int
}

// Append appends the unframed response to dst.
func (r Response) Append(dst []byte) []byte {
	dst = append(dst, dirResponse, byte(r.Op))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Data)))
	dst = binary.LittleEndian.AppendUint32(dst, r.Value)
	return append(dst, r.Data...)
}

// ParseResponse splits a frame body. Data aliases body.
func ParseResponse(body []byte) (Response, error) {
	if err := checkHeader(body, dirResponse); err != nil {
		return Response{}, err
	}
	return Response{
		Op:    Op(body[1]),
		Size:  int(binary.LittleEndian.Uint16(body[2:])),
		Value: binary.LittleEndian.Uint32(body[4:]),
		Data:  body[HeaderSize:],
	}, nil
}

// PayloadLen is the number of payload bytes in front of the status of a
// successful response.
func PayloadLen(op Op, stub bool) int {
	switch {
	case op == FlashMD5 && stub:
		return 16
	case op == FlashMD5:
		return 32
	case op == ReadFlashSlow:
		return SlowBlock
	}
	return 0
}

// A StatusError is a refusal by the loader.
type StatusError struct {
	Op   Op
	Code Code
	Stub bool
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%v refused: %s", e.Op, e.Code.Text(e.Stub))
}

// Result returns the payload of a successful response, n bytes long, or a
// *StatusError, or a *LengthError when the data is too short for either. A refused
// command may come without its payload.
func (r Response) Result(n int, stub bool) ([]byte, error) {
	if len(r.Data) >= n+2 {
		status := r.Data[n : n+2]
		if status[0] == 0 {
			return r.Data[:n], nil
		}
		return nil, statusError(r.Op, status, stub)
	}
	if len(r.Data) >= 2 && r.Data[0] != 0 {
		return nil, statusError(r.Op, r.Data, stub)
	}
	return nil, &LengthError{Op: r.Op, Got: len(r.Data), Want: n + 2}
}

// statusError reads the two orders: the ROM sends {1, code}, the stub {code, 0}.
func statusError(op Op, status []byte, stub bool) error {
	code := Code(status[1])
	if stub {
		code = Code(status[0])
	}
	return &StatusError{Op: op, Code: code, Stub: stub}
}

// ParseDigest reads the payload of SPI_FLASH_MD5 in either form.
func ParseDigest(payload []byte) (sum [16]byte, err error) {
	switch len(payload) {
	case 16:
		copy(sum[:], payload)
	case 32:
		if _, err := hex.Decode(sum[:], payload); err != nil {
			return sum, fmt.Errorf("parse digest: %w", err)
		}
	default:
		return sum, &LengthError{Op: FlashMD5, Got: len(payload), Want: 16}
	}
	return sum, nil
}

// AppendDigest appends a digest in the form of the ROM or of a stub.
func AppendDigest(dst []byte, sum [16]byte, stub bool) []byte {
	if stub {
		return append(dst, sum[:]...)
	}
	return hex.AppendEncode(dst, sum[:])
}
