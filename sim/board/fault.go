package board

import (
	"fmt"
	"slices"
	"time"
)

// A Trigger is what a fault waits for. Occurrences are counted from 1 since the
// board was created, across resets.
type Trigger uint8

// The triggers.
const (
	OnRX      Trigger = iota + 1 // byte from the host
	OnTX                         // byte to the host
	OnCommand                    // command taken by a loader
	OnSync                       // SYNC answered
	OnHello                      // stub announcing itself
	OnBaud                       // CHANGE_BAUD
	OnErase                      // erase operation of the flash
	OnWrite                      // program operation of the flash, up to a sector
	OnMD5                        // SPI_FLASH_MD5
	OnPacket                     // READ_FLASH packet
	OnRead                       // READ_FLASH completed: its digest
	OnReset                      // start of the chip
	OnTime                       // board time
	triggers
)

var triggerNames = [triggers]string{
	OnRX: "rx", OnTX: "tx", OnCommand: "command", OnSync: "sync", OnHello: "hello",
	OnBaud: "baud", OnErase: "erase", OnWrite: "write", OnMD5: "md5",
	OnPacket: "packet", OnRead: "read", OnReset: "reset", OnTime: "time",
}

func (t Trigger) String() string {
	if t > 0 && t < triggers {
		return triggerNames[t]
	}
	return fmt.Sprintf("trigger %d", uint8(t))
}

// A Fault is one thing that goes wrong, once or Count times in a row.
type Fault struct {
	Name  string
	On    Trigger
	N     uint64        // which occurrence of On, from 1
	At    time.Duration // instead of N for OnTime
	Count uint64        // how many occurrences in a row; 0 means 1
	For   time.Duration // how long it lasts, where that applies
	Value uint64        // the one parameter of its own, where it has one
}

// A Schedule is a list of faults. It is replayable: with the same seed of the board
// and the same host it does the same.
type Schedule []Fault

// A FaultSpec describes one kind of fault.
type FaultSpec struct {
	Name string
	Doc  string
	On   []Trigger // triggers it may have
	// Heals says that a careful host can get its work done without a person: by
	// waiting, asking again, resetting the chip or starting over.
	Heals bool
	Count bool          // takes count=
	For   time.Duration // default of for=; 0: takes none
	// Param names the parameter of its own, if it has one, with default and limits.
	Param              string
	Default, Low, High uint64
}

// Limits of what a schedule may hold.
const (
	MaxFaults     = 1000
	maxFaultCount = 1 << 20
	maxFaultFor   = 10 * time.Minute
	maxFaultAt    = 24 * time.Hour
	maxFaultN     = 1 << 40
)

var (
	onLine = []Trigger{OnRX, OnTX}
	onWork = []Trigger{OnCommand, OnTime, OnErase, OnWrite}
)

// faultSpecs are the faults seen in the field (esp32-serial 8), by where they sit.
var faultSpecs = []FaultSpec{
	// The line.
	{Name: "flip", On: onLine, Heals: true, Count: true, Param: "bit", High: 7, Doc: "one bit of a byte arrives inverted"},
	{Name: "drop", On: onLine, Heals: true, Count: true, Doc: "a byte is lost"},
	{Name: "dup", On: onLine, Heals: true, Count: true, Doc: "a byte arrives twice"},
	{Name: "insert", On: onLine, Heals: true, Count: true, Param: "byte", High: 255, Doc: "a stray byte comes before this one"},
	{Name: "stall", On: []Trigger{OnRX}, Heals: true, For: 500 * time.Millisecond, Doc: "bytes towards the chip are held back"},
	{Name: "unplug", On: []Trigger{OnRX, OnTX, OnCommand, OnTime}, Heals: true, For: 2 * time.Second, Param: "power", High: 1, Doc: "the cable comes out and goes back in; with power=1 it carried the supply"},
	{Name: "xonxoff", On: []Trigger{OnCommand, OnTime}, Heals: true, For: 10 * time.Second, Doc: "the bridge swallows bytes 11 and 13, both ways"},
	{Name: "baudskew", On: []Trigger{OnBaud}, Heals: true, Count: true, Param: "percent", Default: 6, Low: 1, High: 50, Doc: "after CHANGE_BAUD the chip's rate is too high by this much"},
	{Name: "baudgarbage", On: []Trigger{OnBaud}, Heals: true, Count: true, Param: "byte", Default: 0x20, High: 255, Doc: "one garbage byte follows the switch of the rate"},
	{Name: "log", On: []Trigger{OnCommand, OnTime}, Heals: true, Count: true, Doc: "a console line appears where a reply is expected"},
	// The chip.
	{Name: "reset", On: append([]Trigger{OnRX, OnTX}, onWork...), Heals: true, Param: "reason", Default: 0x10, Low: 1, High: 0x10, Doc: "the chip resets by itself"},
	{Name: "brownout", On: onWork, Heals: true, Doc: "the supply dips: an application reports it and restarts, a loader is reset"},
	{Name: "powercut", On: onWork, Heals: true, For: 500 * time.Millisecond, Doc: "power fails, also in the middle of an erase or write, and comes back"},
	{Name: "wrongboot", On: []Trigger{OnReset}, Heals: true, Count: true, Doc: "GPIO0 is sampled inverted: the other boot mode"},
	// The loaders.
	{Name: "slow", On: []Trigger{OnCommand}, Heals: true, Count: true, For: time.Second, Doc: "the loader takes long to answer"},
	{Name: "lostreply", On: []Trigger{OnCommand}, Heals: true, Count: true, Doc: "the command is done, its reply is lost"},
	{Name: "dupreply", On: []Trigger{OnCommand}, Heals: true, Count: true, Doc: "the reply comes twice"},
	{Name: "wrongop", On: []Trigger{OnCommand}, Heals: true, Count: true, Doc: "the reply carries another opcode"},
	{Name: "refuse", On: []Trigger{OnCommand}, Heals: true, Count: true, Param: "code", Default: 5, Low: 1, High: 255, Doc: "the loader refuses without doing anything"},
	{Name: "mergesync", On: []Trigger{OnSync}, Heals: true, Count: true, Param: "bytes", Default: 5, Low: 1, High: 100, Doc: "bytes are missing in the burst of SYNC replies, merging two"},
	{Name: "nohello", On: []Trigger{OnHello}, Heals: true, Count: true, Doc: "the stub runs but its greeting is lost"},
	{Name: "badhello", On: []Trigger{OnHello}, Heals: true, Count: true, Doc: "the greeting is garbled"},
	{Name: "shortpacket", On: []Trigger{OnPacket}, Heals: true, Count: true, Param: "bytes", Default: 1, Low: 1, High: 4096, Doc: "a READ_FLASH packet is truncated"},
	{Name: "baddigest", On: []Trigger{OnRead}, Heals: true, Count: true, Doc: "the digest after READ_FLASH is wrong"},
	{Name: "wrongdigest", On: []Trigger{OnMD5}, Heals: true, Count: true, Doc: "SPI_FLASH_MD5 answers a wrong digest"},
	{Name: "slowmd5", On: []Trigger{OnMD5}, Heals: true, Count: true, For: 5 * time.Second, Doc: "SPI_FLASH_MD5 takes long"},
	// The flash.
	{Name: "slowerase", On: []Trigger{OnErase}, Heals: true, Count: true, For: 2 * time.Second, Doc: "an erase takes long"},
	{Name: "slowwrite", On: []Trigger{OnWrite}, Heals: true, Count: true, For: 300 * time.Millisecond, Doc: "a write takes long"},
	{Name: "ignoreerase", On: []Trigger{OnErase}, Heals: true, Count: true, Doc: "an erase is accepted and not done"},
	{Name: "ignorewrite", On: []Trigger{OnWrite}, Heals: true, Count: true, Doc: "a write is accepted and not done"},
	{Name: "stuckbits", On: []Trigger{OnWrite}, Heals: true, Count: true, Param: "mask", Default: 1, Low: 1, High: 255, Doc: "bits of every byte of a write stay one"},
	{Name: "protect", On: []Trigger{OnCommand, OnTime}, Doc: "the flash's block protection comes on: nothing changes it until status register 1 is written zero"},
}

// FaultSpecs lists every kind of fault.
func FaultSpecs() []FaultSpec { return slices.Clone(faultSpecs) }

// FindFault returns the description of a kind of fault.
func FindFault(name string) (FaultSpec, bool) {
	for _, s := range faultSpecs {
		if s.Name == name {
			return s, true
		}
	}
	return FaultSpec{}, false
}

// Check tells what is wrong with a fault, if anything.
func (f Fault) Check() error {
	s, ok := FindFault(f.Name)
	switch {
	case !ok:
		return fmt.Errorf("check fault: unknown name %q", f.Name)
	case !slices.Contains(s.On, f.On):
		return fmt.Errorf("check fault %s: cannot happen on %v", f.Name, f.On)
	case f.On == OnTime && (f.At < 0 || f.At > maxFaultAt || f.N != 0):
		return fmt.Errorf("check fault %s: time %v is outside 0..%v", f.Name, f.At, maxFaultAt)
	case f.On != OnTime && (f.N == 0 || f.N > maxFaultN || f.At != 0):
		return fmt.Errorf("check fault %s: %v=%d is not a count from 1", f.Name, f.On, f.N)
	case f.Count > 1 && (!s.Count || f.On == OnTime), f.Count > maxFaultCount:
		return fmt.Errorf("check fault %s: count %d", f.Name, f.Count)
	case f.For < 0 || f.For > maxFaultFor || s.For == 0 && f.For != 0:
		return fmt.Errorf("check fault %s: duration %v", f.Name, f.For)
	case s.Param == "" && f.Value != 0:
		return fmt.Errorf("check fault %s: takes no value", f.Name)
	case f.Value < s.Low || f.Value > s.High:
		return fmt.Errorf("check fault %s: %s %d is outside %d..%d", f.Name, s.Param, f.Value, s.Low, s.High)
	}
	return nil
}

// Heals reports whether a careful host can live through every fault of s.
func (s Schedule) Heals() bool {
	return !slices.ContainsFunc(s, func(f Fault) bool {
		spec, _ := FindFault(f.Name)
		return !spec.Heals
	})
}
