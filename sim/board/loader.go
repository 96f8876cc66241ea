package board

import "porthole/internal/esprom"

// sendReply sends the reply to a command, with what goes wrong with it.
func (b *Board) sendReply(f *commandFault, frame []byte) {
	if f == nil {
		b.send(frame)
		return
	}
	if f.line {
		b.send([]byte("W (7012) camera: no frame for 2 s\r\n"))
	}
	if f.lost {
		return
	}
	if f.wrongOp {
		frame[2] ^= 0x40 // C0, direction, opcode: never becomes C0 or DB
	}
	b.send(frame)
	if f.twice {
		b.send(frame)
	}
}

// sendSync sends the burst of identical replies that answers SYNC.
func (b *Board) sendSync(f *commandFault, frame []byte) {
	burst := make([]byte, 0, esprom.SyncReplies*len(frame))
	for range esprom.SyncReplies {
		burst = append(burst, frame...)
	}
	for _, hit := range b.faults.hit(OnSync) {
		n := min(int(hit.Value), len(burst))
		at := b.rng.IntN(len(burst) - n + 1)
		burst = append(burst[:at], burst[at+n:]...)
	}
	b.sendReply(f, burst)
}

// changeBaud switches the chip's rate after a reply.
func (b *Board) changeBaud(baud int) {
	garbage := []byte(nil)
	for _, f := range b.faults.hit(OnBaud) {
		switch f.Name {
		case "baudskew":
			baud += baud * int(f.Value) / 100
		case "baudgarbage":
			garbage = append(garbage, byte(f.Value))
		}
	}
	b.setChipBaud(baud)
	b.send(garbage)
}
