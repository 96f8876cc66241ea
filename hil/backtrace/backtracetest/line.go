package backtracetest

import "encoding/binary"

// lineRow is a row of a line table; the last one, with line 0, ends it.
type lineRow struct {
	addr uint32
	file int // from 1
	line int
}

// lines appends a line program of one sequence, in the encoding of DWARF 3 that
// every reader knows, and returns where it starts.
func (w *dwarfWriter) lines(dir string, files []string, rows []lineRow) int {
	header := []byte{1, 1, 0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1} // unit 1, is statement, base -5, range 14, operands of 12 opcodes
	header = append(append(header, dir...), 0, 0)
	for _, f := range files {
		header = append(append(header, f...), 0, 1, 0, 0) // first directory, no time, no size
	}
	header = append(header, 0)

	const (
		copyRow, advancePC, advanceLine, setFile = 1, 2, 3, 4 // standard opcodes
		endSequence, setAddress                  = 1, 2       // extended ones
	)
	program := le32([]byte{0, 5, setAddress}, rows[0].addr)
	addr, file, line := rows[0].addr, 1, 1
	for _, r := range rows {
		program = binary.AppendUvarint(append(program, advancePC), uint64(r.addr-addr))
		addr = r.addr
		if r.line == 0 {
			program = append(program, 0, 1, endSequence)
			break
		}
		if r.file != file {
			program = append(program, setFile, byte(r.file))
			file = r.file
		}
		program = appendSigned(append(program, advanceLine), r.line-line)
		line = r.line
		program = append(program, copyRow)
	}

	start := len(w.line)
	w.line = le32(w.line, uint32(2+4+len(header)+len(program)))
	w.line = binary.LittleEndian.AppendUint16(w.line, 3) // version
	w.line = le32(w.line, uint32(len(header)))
	w.line = append(append(w.line, header...), program...)
	return start
}

// appendSigned writes a signed LEB128 number.
func appendSigned(b []byte, n int) []byte {
	for {
		c := byte(n & 0x7F)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
