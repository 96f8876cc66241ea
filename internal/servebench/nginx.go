package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// nginxConf is nginx as its own documentation would have it for one file from
// memory: sendfile, open files cached, no log (perf 9).
const nginxConf = `daemon off;
worker_processes %d;
worker_rlimit_nofile 20000;
pid %[2]s/nginx.pid;
error_log stderr crit;
events { worker_connections 19000; multi_accept on; use epoll; }
http {
  access_log off;
  sendfile on; tcp_nopush on; tcp_nodelay on;
  open_file_cache max=100; open_file_cache_valid 1s;
  keepalive_requests 1000000000; keepalive_timeout 75s;
  types { } default_type image/jpeg;
  client_body_temp_path %[2]s/t1; proxy_temp_path %[2]s/t2; fastcgi_temp_path %[2]s/t3; uwsgi_temp_path %[2]s/t4; scgi_temp_path %[2]s/t5;
  server {
    listen 127.0.0.1:%[3]d %[4]s backlog=4096;
    %[5]s
    root %[6]s;
    add_header Cache-Control no-store;
  }
}
`

func (b *bench) startNginx(ctx context.Context, o serverOptions) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "nginx")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return nil, err
	}
	listen, settings := "", ""
	if o.tls {
		listen = "ssl"
		if o.http2 {
			listen = "ssl http2"
		}
		settings = fmt.Sprintf("ssl_certificate %s/cert.pem; ssl_certificate_key %[1]s/key.pem; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;", b.dir)
	}
	workers := 1
	if o.cpu == "" {
		workers = 2
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, workers, dir, port, listen, settings, b.dir), 0o644); err != nil {
		return nil, err
	}
	cmd := pin(ctx, o.cpu, "nginx", "-p", dir, "-c", conf)
	cmd.Stderr = os.Stderr
	// A group of its own: master and workers end together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{port: port, stop: func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() }}
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if p.pids = family(cmd.Process.Pid); len(p.pids) > workers {
			if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
				c.Close()
				break
			}
		}
		if time.Since(begun) > 10*time.Second {
			p.stop()
			return nil, fmt.Errorf("nginx did not start: nginx -t -c %s", conf)
		}
	}
	if o.period < time.Minute {
		publishing, stop := context.WithCancel(ctx)
		every(publishing, o.period, func(int) { b.republish() })
		kill := p.stop
		p.stop = func() { stop(); kill() }
	}
	return p, nil
}

// republish puts a new file in the place of the old one, as an upload would.
func (b *bench) republish() {
	data, err := os.ReadFile(filepath.Join(b.dir, "loop", "1.jpg"))
	if err != nil {
		return
	}
	next := filepath.Join(b.dir, "next")
	if os.WriteFile(next, data, 0o644) == nil {
		os.Rename(next, filepath.Join(b.dir, "latest"))
	}
}

// family returns a process and its children.
func family(pid int) []int {
	pids := []int{pid}
	out, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil { // a kernel without the list
		out, _ = exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	}
	for word := range strings.FieldsSeq(string(out)) {
		if n, err := strconv.Atoi(word); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
