package esprom

// Command decodes the data of r into its typed form. Extra data is left aside, as
// the loaders do; missing data is a *LengthError. Blocks and payloads alias r.Data.
// A command without a typed form comes back as Bare.
func (r Request) Command() (Command, error) {
	switch r.Op {
	case SyncOp:
		return Sync{Payload: r.Data}, nil
	case WriteRegOp:
		return r.writeReg()
	case FlashBegin, DeflBegin, MemBegin:
		return r.begin()
	case FlashData, DeflData, MemData:
		w, err := words(r.Op, r.Data, DataHeader/4)
		if err != nil {
			return nil, err
		}
		return Data{Op: r.Op, Len: w[0], Seq: w[1], Check: uint8(r.Check), Block: r.Data[DataHeader:]}, nil
	case SPIAttachOp:
		w, err := words(r.Op, r.Data, 1)
		if err != nil {
			return nil, err
		}
		return Attach{Pins: w[0], ROM: len(r.Data) >= 8}, nil
	}
	n, ok := wordCounts[r.Op]
	if !ok {
		return Bare{Op: r.Op, Data: r.Data}, nil
	}
	w, err := words(r.Op, r.Data, n)
	if err != nil {
		return nil, err
	}
	switch r.Op {
	case ReadRegOp:
		return ReadReg{w[0]}, nil
	case FlashEnd, DeflEnd:
		return End{Op: r.Op, Stay: w[0] != 0}, nil
	case MemEnd:
		return Jump{Stay: w[0] != 0, Entry: w[1]}, nil
	case SPISetParams:
		return FlashParams{w[0], w[1], w[2], w[3], w[4], w[5]}, nil
	case ReadFlashSlow:
		return SlowRead{w[0], w[1]}, nil
	case ChangeBaudOp:
		return Baud{New: w[0], Old: w[1]}, nil
	case FlashMD5:
		return Digest{w[0], w[1]}, nil
	case EraseRegionOp:
		return EraseRegion{w[0], w[1]}, nil
	default: // ReadFlashOp, the last one of wordCounts
		return ReadFlash{w[0], w[1], w[2], w[3]}, nil
	}
}

// wordCounts gives the number of words of the commands with fixed data.
var wordCounts = map[Op]int{
	ReadRegOp: 1, FlashEnd: 1, DeflEnd: 1, MemEnd: 2, SPISetParams: 6,
	ReadFlashSlow: 2, ChangeBaudOp: 2, FlashMD5: 4, EraseRegionOp: 2, ReadFlashOp: 4,
}

func (r Request) begin() (Command, error) {
	w, err := words(r.Op, r.Data, 4)
	if err != nil {
		return nil, err
	}
	b := Begin{Op: r.Op, Size: w[0], Blocks: w[1], BlockSize: w[2], Offset: w[3]}
	if len(r.Data) >= 20 {
		w, _ := words(r.Op, r.Data, 5)
		b.Long, b.Encrypt = true, w[4]
	}
	return b, nil
}

func (r Request) writeReg() (Command, error) {
	if len(r.Data) < 16 {
		return nil, &LengthError{Op: r.Op, Got: len(r.Data), Want: 16}
	}
	var c WriteReg
	for d := r.Data; len(d) >= 16; d = d[16:] {
		w, _ := words(r.Op, d, 4)
		c = append(c, RegWrite{w[0], w[1], w[2], w[3]})
	}
	return c, nil
}
