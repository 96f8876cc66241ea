package esprom

// A Command is a typed request. Request.Command is the way back.
type Command interface {
	Request() Request
}

// Sync is SYNC. Payload nil means the usual 36 bytes; the ROM takes any.
type Sync struct{ Payload []byte }

// Request implements Command.
func (c Sync) Request() Request {
	p := c.Payload
	if p == nil {
		p = SyncData()
	}
	return Request{Op: SyncOp, Data: p}
}

// ReadReg is READ_REG: the answer is the value field of the response.
type ReadReg struct{ Addr uint32 }

// Request implements Command.
func (c ReadReg) Request() Request {
	return Request{Op: ReadRegOp, Data: appendWords(nil, c.Addr)}
}

// A RegWrite is one write of WRITE_REG: after Delay microseconds the register
// becomes Value&Mask | old&^Mask.
type RegWrite struct{ Addr, Value, Mask, Delay uint32 }

// WriteReg is WRITE_REG: one or more writes in order.
type WriteReg []RegWrite

// Request implements Command.
func (c WriteReg) Request() Request {
	var data []byte
	for _, w := range c {
		data = appendWords(data, w.Addr, w.Value, w.Mask, w.Delay)
	}
	return Request{Op: WriteRegOp, Data: data}
}

// Begin is FLASH_BEGIN, DEFL_BEGIN or MEM_BEGIN:
//
//	0   size       FLASH, MEM: bytes to come. DEFL: inflated size, for the ROM
//	               rounded up to whole blocks
//	4   blocks     number of data commands to come
//	8   block size bytes each
//	12  offset     in the flash, or the RAM address
//	16  encrypt    stub only, optional: the ROM refuses 20 bytes
type Begin struct {
	Op                              Op
	Size, Blocks, BlockSize, Offset uint32
	Long                            bool   // send the encrypt word
	Encrypt                         uint32 // the encrypt word
}

// Request implements Command.
func (c Begin) Request() Request {
	data := appendWords(nil, c.Size, c.Blocks, c.BlockSize, c.Offset)
	if c.Long {
		data = appendWords(data, c.Encrypt)
	}
	return Request{Op: c.Op, Data: data}
}

// Data is FLASH_DATA, DEFL_DATA or MEM_DATA:
//
//	0   length of the block    4   sequence number from 0    8..15  zero    16  block
type Data struct {
	Op    Op
	Seq   uint32
	Block []byte
	// Len and Check are what a received header claims; a Data made by hand leaves
	// them zero and Request fills in the true values.
	Len   uint32
	Check uint8
}

// DataHeader is the length of the header in front of a block, in bytes.
const DataHeader = 16

// Request implements Command.
func (c Data) Request() Request {
	data := make([]byte, 0, DataHeader+len(c.Block))
	data = appendWords(data, uint32(len(c.Block)), c.Seq, 0, 0)
	return Request{
		Op:    c.Op,
		Check: uint32(Checksum(c.Block)),
		Data:  append(data, c.Block...),
	}
}

// Intact reports whether a received block is as long as its header claims and its
// checksum is right.
func (c Data) Intact() bool {
	return int64(c.Len) == int64(len(c.Block)) && c.Check == Checksum(c.Block)
}

// End is FLASH_END or DEFL_END. The word is 0 for "reboot", 1 for "stay".
type End struct {
	Op   Op
	Stay bool
}

// Request implements Command.
func (c End) Request() Request {
	var w uint32
	if c.Stay {
		w = 1
	}
	return Request{Op: c.Op, Data: appendWords(nil, w)}
}

// Jump is MEM_END: after the reply the chip jumps to Entry, unless Stay is set or
// Entry is 0.
type Jump struct {
	Stay  bool // the no_entry word
	Entry uint32
}

// Request implements Command.
func (c Jump) Request() Request {
	var w uint32
	if c.Stay {
		w = 1
	}
	return Request{Op: MemEnd, Data: appendWords(nil, w, c.Entry)}
}

// FlashParams is SPI_SET_PARAMS. Only Size (bytes) ever varies.
type FlashParams struct{ ID, Size, Block, Sector, Page, Mask uint32 }

// ParamsFor returns the parameters every flasher sends for a flash of that size.
func ParamsFor(size uint32) FlashParams {
	return FlashParams{Size: size, Block: 64 << 10, Sector: 4 << 10, Page: 256, Mask: 0xFFFF}
}

// Request implements Command.
func (c FlashParams) Request() Request {
	return Request{Op: SPISetParams, Data: appendWords(nil, c.ID, c.Size, c.Block, c.Sector, c.Page, c.Mask)}
}

// Attach is SPI_ATTACH. Pins is 0 for the default pins, 1 for HSPI, or packed as
// HD<<24 | CS<<18 | D<<12 | Q<<6 | CLK.
type Attach struct {
	Pins uint32
	ROM  bool // the ROM's form has a second word (legacy mode, zero)
}

// Request implements Command.
func (c Attach) Request() Request {
	data := appendWords(nil, c.Pins)
	if c.ROM {
		data = appendWords(data, 0)
	}
	return Request{Op: SPIAttachOp, Data: data}
}

// SlowRead is READ_FLASH_SLOW: at most 64 bytes.
type SlowRead struct{ Offset, Len uint32 }

// Request implements Command.
func (c SlowRead) Request() Request {
	return Request{Op: ReadFlashSlow, Data: appendWords(nil, c.Offset, c.Len)}
}

// Baud is CHANGE_BAUD. Old is 0 towards the ROM.
type Baud struct{ New, Old uint32 }

// Request implements Command.
func (c Baud) Request() Request {
	return Request{Op: ChangeBaudOp, Data: appendWords(nil, c.New, c.Old)}
}

// Digest is SPI_FLASH_MD5.
type Digest struct{ Addr, Size uint32 }

// Request implements Command.
func (c Digest) Request() Request {
	return Request{Op: FlashMD5, Data: appendWords(nil, c.Addr, c.Size, 0, 0)}
}

// EraseRegion is ERASE_REGION: both in bytes and multiples of 4096.
type EraseRegion struct{ Offset, Size uint32 }

// Request implements Command.
func (c EraseRegion) Request() Request {
	return Request{Op: EraseRegionOp, Data: appendWords(nil, c.Offset, c.Size)}
}

// ReadFlash is READ_FLASH. After the reply the stub sends frames of Packet bytes
// (the last one shorter); the host answers each with a frame holding the number of
// bytes received so far as one word; a frame with the MD5 of everything ends it.
// At most Window packets may be unanswered; the stubs in use keep to one.
type ReadFlash struct{ Offset, Size, Packet, Window uint32 }

// Request implements Command.
func (c ReadFlash) Request() Request {
	return Request{Op: ReadFlashOp, Data: appendWords(nil, c.Offset, c.Size, c.Packet, c.Window)}
}

// Bare is a command without data, or one that has no typed form.
type Bare struct {
	Op   Op
	Data []byte
}

// Request implements Command.
func (c Bare) Request() Request { return Request{Op: c.Op, Data: c.Data} }
