package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"porthole/internal/rfc2217"
	"porthole/sim/board"
)

// python returns a Python that has pyserial. pyserial is what esptool sits on, so
// where a machine has it both directions are tried.
func python(t *testing.T) string {
	t.Helper()
	var failed error
	// A python of the user's own need not see the system's packages.
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil {
			err = exec.CommandContext(t.Context(), path, "-c", "import serial.rfc2217").Run()
		}
		if err == nil {
			return path
		}
		failed = err
	}
	absent(t, "pyserial", failed)
	return ""
}

// absent leaves a test out, loudly, because a tool is not on the machine; or fails
// it if CONFORMANCE_REQUIRE names the tool.
func absent(t *testing.T, tool string, err error) {
	t.Helper()
	for name := range strings.SplitSeq(os.Getenv("CONFORMANCE_REQUIRE"), ",") {
		if name == tool {
			t.Fatalf("CONFORMANCE_REQUIRE asks for %s: %v", tool, err)
		}
	}
	t.Skipf("NOT RUN: this machine has no %s (%v)", tool, err)
}

func TestPyserialClient(t *testing.T) {
	t.Parallel()
	py := python(t)
	b := newBoard(t, board.Config{EN: steadyEN})
	out, err := exec.CommandContext(t.Context(), py, "pyserial/client.py", onTCP(t, b)).Output()
	if err != nil {
		t.Fatalf("client.py: %v\n%s", err, stderrOf(err))
	}
	var got struct {
		Version, Download, Sync, Boot string
		CTS                           bool
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	t.Logf("pyserial %s", got.Version)
	if !strings.Contains(got.Download, "boot:0x3 (DOWNLOAD_BOOT") {
		t.Errorf("log after the reset sequence: %q", got.Download)
	}
	if want := strings.Repeat("c0010804000707122000000000c0", 8); got.Sync != want {
		t.Errorf("SYNC answered with %s, want %s", got.Sync, want)
	}
	if !strings.Contains(got.Boot, "boot:0x13 (SPI_FAST_FLASH_BOOT") {
		t.Errorf("log after a plain reset: %q", got.Boot)
	}
	if got.CTS {
		t.Error("CTS is set, which nothing drives")
	}
}

func TestPyserialServer(t *testing.T) {
	t.Parallel()
	py := python(t)
	cmd := exec.CommandContext(t.Context(), py, "pyserial/server.py")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout := bufio.NewReader(pipe)
	address, err := stdout.ReadString('\n')
	if err != nil {
		cmd.Wait()
		t.Fatalf("server.py: %v\n%s", err, stderr.String())
	}
	c, err := rfc2217.Dial(t.Context(), strings.TrimSpace(address), rfc2217.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	line := rfc2217.Line{Baud: 460800, DataBits: 8, Parity: rfc2217.ParityEven, StopBits: rfc2217.Stop2}
	for what, f := range map[string]func() error{
		"line": func() error { return c.SetLine(line) }, "flow": func() error { return c.SetFlow(rfc2217.FlowNone) },
		"lines": func() error { return c.SetDTRRTS(true, false) }, "purge": func() error { return c.Purge(rfc2217.PurgeBoth) },
		"break": func() error { return c.Break(time.Millisecond) },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := c.Line(); err != nil || got != line {
		t.Errorf("line is %v, %v; want %v", got, err, line)
	}
	sent := noise(5000)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("looped back: %v, equal %v", err, bytes.Equal(got, sent))
	}
	c.Close()
	rest, _ := io.ReadAll(stdout)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("server.py: %v\n%s", err, stderr.String())
	}
	var state struct {
		Baud     int
		Parity   string
		DTR, RTS bool
	}
	if err := json.Unmarshal(rest, &state); err != nil {
		t.Fatal(err)
	}
	if state.Baud != 460800 || state.Parity != "E" || !state.DTR || state.RTS {
		t.Errorf("pyserial's port ended as %+v", state)
	}
}

func stderrOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(exit.Stderr)
	}
	return ""
}
