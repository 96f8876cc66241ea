package board

import "porthole/internal/esprom"

// The reset circuit, levels asserted meaning low (esp32-serial 3.1):
//
//	DTR RTS   EN   IO0
//	 0   0    high high   run
//	 1   1    high high   run: two transistors lock each other out
//	 0   1    low  high   held in reset
//	 1   0    high low    download mode, if EN is rising now
//
// EN has a capacitor. Pulling it low is quick; after its release it takes Config.EN
// to rise, and at that moment the straps are sampled. So what IO0 was when EN was
// released does not matter, which is the whole trouble with reset sequences.

// SetPower switches the supply of the whole board. Without power the flash forgets
// an operation in progress half-way.
func (b *Board) SetPower(on bool) {
	b.do(func() { b.setPower(on) })
}

func (b *Board) setPower(on bool) {
	if on == b.power {
		return
	}
	if !on {
		b.cutPower()
		return
	}
	b.power = true
	b.tracePower()
	b.setState(StateReset)
	b.linesChanged()
}

func (b *Board) cutPower() {
	if !b.power {
		return
	}
	b.stopChip(true)
	b.edge++
	b.power, b.en, b.rising = false, false, false
	b.tracePower()
	b.setState(StateOff)
}

func (b *Board) tracePower() { b.note(TracePower, bit(b.power), bit(b.shutoff)) }

func bit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

// SetShutoff cuts the rail of the camera (cut true) or restores it. The chip keeps
// running.
func (b *Board) SetShutoff(cut bool) {
	b.do(func() {
		if cut == b.shutoff {
			return
		}
		b.shutoff = cut
		close(b.railChanged)
		b.railChanged = make(chan struct{})
		b.tracePower()
	})
}

// PressEN presses or releases the reset button.
func (b *Board) PressEN(down bool) {
	b.do(func() { b.enButton = down; b.linesChanged() })
}

// PressBoot presses or releases the BOOT button, which pulls GPIO0 low.
func (b *Board) PressBoot(down bool) {
	b.do(func() { b.bootButton = down; b.linesChanged() })
}

// Restart resets the chip and starts it in download mode or from flash, whatever
// the lines say: for a host that cannot move them, such as one on a PTY.
func (b *Board) Restart(download bool) {
	b.do(func() {
		if !b.power {
			return
		}
		b.edge++
		b.stopChip(false)
		b.en, b.rising = true, false
		strap := b.cfg.Strap | StrapGPIO0
		if download {
			strap &^= StrapGPIO0 | StrapGPIO2
		}
		b.start(PowerOnReset, strap)
	})
}

func (b *Board) setLines(dtr, rts bool) {
	if dtr == b.dtr && rts == b.rts {
		return
	}
	b.dtr, b.rts = dtr, rts
	b.note(TraceLines, bit(dtr)|bit(rts)<<1, 0)
	b.linesChanged()
}

// linesChanged works out EN after any change of lines, buttons or power.
func (b *Board) linesChanged() {
	if !b.power {
		return
	}
	released := !b.enButton && !(b.rts && !b.dtr)
	switch {
	case !released:
		b.edge++ // a rise under way is undone
		b.rising = false
		if b.en {
			b.stopChip(false)
			b.setState(StateReset)
		}
		b.en = false
	case !b.en && !b.rising:
		b.edge++
		b.rising = true
		edge := b.edge
		b.afterAlways(b.cfg.EN, func() {
			if b.edge == edge {
				b.rising, b.en = false, true
				b.start(PowerOnReset, b.sampleStraps())
			}
		})
	}
}

// sampleStraps reads the strapping pins as they are now.
func (b *Board) sampleStraps() uint8 {
	if b.bootButton || b.dtr && !b.rts {
		return b.cfg.Strap &^ StrapGPIO0
	}
	return b.cfg.Strap | StrapGPIO0
}

// stopChip ends whatever the chip does. A flash operation in progress completes,
// since EN does not reach the flash, unless the power goes too.
func (b *Board) stopChip(powerCut bool) {
	b.life++
	if b.machine != nil {
		b.machine.cancel()
		b.machine.input.Close(ErrReset)
		b.machine = nil
	}
	b.startWhenEnded = nil
	b.abortJob(powerCut)
	b.rom, b.stub, b.sniff = nil, nil, nil
	b.soc.reset()
	b.rx = nil
	b.txFree = 0
	b.measured, b.muted = false, false
	b.setChipBaud(esprom.DefaultBaud)
}

// restart is a reset from within: watchdog, software, brownout.
func (b *Board) restart(reason ResetReason) {
	if !b.power || !b.en {
		return
	}
	strap := b.strap
	if reason.relatches() {
		strap = b.sampleStraps()
	}
	b.stopChip(false)
	b.start(reason, strap)
}

// start runs the ROM, once an old program has ended.
func (b *Board) start(reason ResetReason, strap uint8) {
	if b.machineBusy {
		b.setState(StateReset)
		b.startWhenEnded = func() { b.start(reason, strap) }
		return
	}
	strap = b.faults.reset(strap)
	b.strap, b.reason = strap, reason
	b.note(TraceStart, uint64(reason), uint64(strap))
	if strap&StrapMTDO != 0 {
		b.send([]byte(Banner(b.cfg.Chip.Revision.Major, reason, strap)))
	}
	if !isDownload(strap) {
		b.bootFlash()
		return
	}
	if strap&StrapMTDO != 0 {
		b.send([]byte(waiting))
	}
	b.setState(StateROM)
	b.rom = newROM(b)
}

// bootFlash starts the program in flash.
func (b *Board) bootFlash() {
	b.rom, b.stub = nil, nil
	b.setState(StateBoot)
	if b.cfg.AutoDownload {
		b.sniff = newSniffer(b)
	}
	b.startProgram(b.cfg.Program, 0)
}
