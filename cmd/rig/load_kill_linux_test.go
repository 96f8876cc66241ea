package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/internal/cli"
)

// rigProcess starts the command line in a process of its own.
func rigProcess(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := &exec.Cmd{Path: self, Args: append([]string{"rig"}, args...), Stderr: &errs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out), &errs
}

// awaitLine reads lines up to one with a word.
func awaitLine(t *testing.T, lines *bufio.Scanner, word string) string {
	t.Helper()
	var all strings.Builder
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), word) {
			return lines.Text()
		}
	}
	t.Fatalf("no %q in\n%s", word, all.String())
	return ""
}

// children returns the processes that a process has started.
func children(t *testing.T, pid int) (list []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(text)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
	}
	return list
}

// ended waits for processes to be gone.
func ended(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, pid := range pids {
		for syscall.Kill(pid, 0) == nil {
			if text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err != nil || strings.Contains(string(text), ") Z ") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// TestLoadKilled kills the parts of a load test in the middle of it. Each time
// the exit code and the report say what happened, and nothing is left behind.
func TestLoadKilled(t *testing.T) {
	args := []string{"load", "--viewers", "10", "--duration", "60s", "--period", "200ms", "--objective", "errors == 0"}
	t.Run("the generator", func(t *testing.T) {
		t.Parallel()
		cmd, lines, _ := rigProcess(t, args...)
		awaitLine(t, lines, "   2 s  10 viewers")
		servers := children(t, cmd.Process.Pid)
		if len(servers) != 1 {
			t.Fatalf("%d children", len(servers))
		}
		cmd.Process.Kill()
		cmd.Wait()
		ended(t, servers)
	})
	t.Run("the server", func(t *testing.T) {
		t.Parallel()
		short := append([]string{}, args...)
		short[4] = "6s"
		cmd, lines, errs := rigProcess(t, short...)
		awaitLine(t, lines, "   2 s  10 viewers")
		for _, pid := range children(t, cmd.Process.Pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		awaitLine(t, lines, "x refused")
		awaitLine(t, lines, "verdict")
		awaitLine(t, lines, "the server ended by itself: signal: killed")
		for lines.Scan() {
		}
		cmd.Wait()
		// A busy machine may have no verdict, but not a good one.
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitObjective && code != cli.ExitBench {
			t.Errorf("exit code %d\n%s", code, errs)
		}
	})
	t.Run("by Ctrl-C", func(t *testing.T) {
		t.Parallel()
		cmd, lines, errs := rigProcess(t, args...)
		awaitLine(t, lines, "   2 s  10 viewers")
		servers := children(t, cmd.Process.Pid)
		cmd.Process.Signal(syscall.SIGINT)
		awaitLine(t, lines, "INCONCLUSIVE")
		awaitLine(t, lines, "interrupted after")
		for lines.Scan() {
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitOK {
			t.Errorf("exit code %d\n%s", code, errs)
		}
		ended(t, servers)
	})
	t.Run("an agent", func(t *testing.T) {
		t.Parallel()
		var agents []*exec.Cmd
		var addresses []string
		const token = "a token for tests only"
		for range 2 {
			agent, lines, _ := rigProcess(t, "load", "agent", "--listen", "127.0.0.1:0", "--token", token)
			agents = append(agents, agent)
			addresses = append(addresses, strings.Fields(awaitLine(t, lines, "agent "))[1])
			go func() {
				for lines.Scan() {
				}
			}()
		}
		short := append([]string{}, args...)
		short[4] = "6s"
		cmd, lines, errs := rigProcess(t, append(short, "--agents", strings.Join(addresses, ","), "--agent-token", token)...)
		awaitLine(t, lines, "   2 s  10 viewers")
		agents[1].Process.Kill()
		awaitLine(t, lines, "INCONCLUSIVE")
		awaitLine(t, lines, "agent "+addresses[1]+" was lost")
		for lines.Scan() {
		}
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitBench {
			t.Errorf("exit code %d\n%s", code, errs)
		}
	})
}
