package hiltest

import (
	"io"
	"slices"
	"testing"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
)

func TestBoardAnswers(t *testing.T) {
	b := &Board{Regs: map[uint32]uint32{esprom.RegMagic: esprom.ChipMagic}, Flash: make([]byte, 4096),
		Banner: func(download bool) string {
			if download {
				return "loader\r\n"
			}
			return "app\r\n"
		}}
	port := b.Plug()
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step(port.SetLines(false, true))
	step(port.SetLines(true, false))
	step(port.SetReadDeadline(time.Now().Add(10 * time.Second)))
	text := make([]byte, len("loader\r\n"))
	_, err := io.ReadFull(port, text)
	step(err)
	if string(text) != "loader\r\n" {
		t.Errorf("printed %q", text)
	}
	r := slip.NewReader(port, 0, nil)
	ask := func(cmd esprom.Command) esprom.Response {
		t.Helper()
		_, err := port.Write(slip.Append(nil, cmd.Request().Append(nil)))
		step(err)
		body, err := r.ReadFrame()
		step(err)
		resp, err := esprom.ParseResponse(body)
		step(err)
		return resp
	}
	if resp := ask(esprom.ReadReg{Addr: esprom.RegMagic}); resp.Value != esprom.ChipMagic {
		t.Errorf("magic 0x%x", resp.Value)
	}
	if _, err := ask(esprom.Data{Op: esprom.FlashData, Block: []byte{1}, Len: 2}).Result(0, false); err != nil {
		t.Errorf("intact block: %v", err)
	}
	step(port.Close())
	b.Wait()
	want := []string{"lines dtr=0 rts=1", "lines dtr=1 rts=0", "READ_REG 0x40001000", "FLASH_DATA seq 0, 1 bytes"}
	// The first change brings the initial rate with it.
	if got := slices.DeleteFunc(b.Transcript(), func(s string) bool { return s == "baud 115200" }); !slices.Equal(got, want) {
		t.Errorf("transcript %q, want %q", got, want)
	}
}
