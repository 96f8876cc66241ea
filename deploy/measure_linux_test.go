package deploy

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// maxBinary is what the deployed program may weigh.
const maxBinary = 20 << 20

// TestMeasureStart says how large the deployed program is, and how long it takes
// from exec until it has told systemd that it is ready: listening, with a picture
// to show. The time is printed, not judged.
func TestMeasureStart(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "porthole")
	binary(t, program)
	st, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("program: %.1f MB of %d allowed", float64(st.Size())/1e6, maxBinary>>20)
	if st.Size() > maxBinary {
		t.Errorf("program has %d bytes", st.Size())
	}
	tokens := filepath.Join(dir, "tokens")
	run(t, program, "token", "new", "--tokens", tokens)
	cert, key := writeCertificate(t, dir)
	socket := filepath.Join(dir, "notify")
	manager, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	runs := 3
	if os.Getenv("PORTHOLE_LONG") != "" {
		runs = 50
	}
	took, used := make([]time.Duration, runs), make([]time.Duration, runs)
	for i := range took {
		cmd := exec.CommandContext(t.Context(), program, "serve", "--cert", cert, "--key", key, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tokens", tokens)
		cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"), "NOTIFY_SOCKET="+socket)
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		manager.SetReadDeadline(began.Add(30 * time.Second))
		if _, _, err := manager.ReadFrom(make([]byte, 256)); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(began)
		cmd.Process.Kill()
		cmd.Wait()
		used[i] = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	slices.Sort(took)
	slices.Sort(used)
	t.Logf("exec to ready: median %v, least %v, of %d starts; processor time %v, least %v",
		took[runs/2].Round(100*time.Microsecond), took[0].Round(100*time.Microsecond), runs, used[runs/2].Round(100*time.Microsecond), used[0].Round(100*time.Microsecond))
}
