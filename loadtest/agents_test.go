package loadtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/cli"
)

const testToken = "a token for tests only"

// serveAgent runs an agent on loopback and returns its address and its end.
func serveAgent(t *testing.T, token string, allow ...string) (address string, end func()) {
	t.Helper()
	a, settings, err := NewAgentServer(AgentConfig{Token: token, Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := a.Serve(ctx, ln, settings); err != nil {
			t.Errorf("agent: %v", err)
		}
	})
	end = sync.OnceFunc(func() { cancel(); serving.Wait() })
	t.Cleanup(end)
	return ln.Addr().String(), end
}

// TestAgents: two agents on loopback play a crowd over TLS together. What they
// saw is what the server did.
func TestAgents(t *testing.T) {
	f := newPictureFeed(t, 200*time.Millisecond, 60, 0)
	address, _ := f.serveTLS(t)
	root := new(bytes.Buffer)
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, cert := range conn.ConnectionState().PeerCertificates {
		if err := pem.Encode(root, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	before := f.hellos.Load()
	one, _ := serveAgent(t, testToken)
	two, _ := serveAgent(t, testToken)
	var samples []Sample
	bench := &switchable{start: time.Now()}
	r, err := Agents{Addresses: []string{one, two}, Token: testToken, RootPEM: root.Bytes(), startIn: 300 * time.Millisecond}.Run(t.Context(), Config{
		TargetURL: "https://" + address + "/latest", Host: "example.com", Viewers: 31, Duration: 2 * time.Second, Period: 200 * time.Millisecond,
		Conditional: true, Faults: bench, Steps: []Step{{At: time.Second, Do: []string{"camera", "stop"}, Expect: []Objective{{metric: "errors", op: "==", number: "0"}}}},
	}, func(s Sample) { samples = append(samples, s) })
	if err != nil {
		t.Fatal(err)
	}
	balance(t, r)
	if n := f.hellos.Load() - before; n != 31 || r.Connections.Opened != 31 || r.Scenario.Viewers != 31 {
		t.Errorf("%d handshakes, %d connections of %d viewers, want 31", n, r.Connections.Opened, r.Scenario.Viewers)
	}
	if r.Polls.Errors+r.Polls.Unfinished > 0 || r.Unseen > 0 || r.Pictures.Backward > 0 {
		t.Errorf("polls %+v, unseen %d, pictures %+v", r.Polls, r.Unseen, r.Pictures)
	}
	if n := uint64(len(f.frames)); r.Pictures.Distinct < 3 || r.Pictures.Distinct > n {
		t.Errorf("%d distinct pictures of %d", r.Pictures.Distinct, n)
	}
	near(t, "watch time", r.Watch.Total, r.watchExpected(t, 31, 2*time.Second), time.Millisecond)
	if len(r.Agents) != 2 || r.Agents[0].Name != one || r.Agents[1].Name != two {
		t.Errorf("agents %+v", r.Agents)
	}
	if len(bench.did) != 1 || len(r.Phases) != 2 || r.Phases[1].Name != "camera stop" || len(r.Phases[1].Objectives) != 1 || !r.Phases[1].Objectives[0].Met {
		t.Errorf("did %v, phases %+v", bench.did, r.Phases)
	}
	var polls uint64
	for _, s := range samples {
		polls += s.Polls
	}
	if len(samples) == 0 || polls != r.Polls.Due || samples[len(samples)-1].Viewers != 31 {
		t.Errorf("samples add up to %d polls, want %d: %+v", polls, r.Polls.Due, samples)
	}
	if s := f.strange.Load(); s != nil {
		t.Errorf("the server saw the %s", s)
	}
}

// watchExpected is the watch time of a crowd by its joins.
func (r *Report) watchExpected(t *testing.T, viewers int, d time.Duration) (sum time.Duration) {
	c := Config{Viewers: viewers, Duration: d, Seed: r.Scenario.Seed, Ramp: time.Duration(r.Scenario.Ramp)}
	for _, join := range joins(c) {
		sum += d - join
	}
	return sum
}

// TestAgentIsLost: an agent that dies in the middle leaves the figures of the
// other, and says so.
func TestAgentIsLost(t *testing.T) {
	f := newPictureFeed(t, 200*time.Millisecond, 60, 0)
	srv := httptest.NewServer(f)
	defer srv.Close()
	one, _ := serveAgent(t, testToken)
	two, end := serveAgent(t, testToken)
	r, err := Agents{Addresses: []string{one, two}, Token: testToken, startIn: 300 * time.Millisecond}.Run(t.Context(), Config{
		TargetURL: srv.URL + "/latest", Viewers: 20, Duration: 2500 * time.Millisecond, Period: 200 * time.Millisecond,
	}, func(s Sample) { end() })
	if err != nil {
		t.Fatal(err)
	}
	balance(t, r)
	if r.Verdict != Inconclusive || !strings.HasPrefix(r.Reasons[len(r.Reasons)-1], "agent "+two+" was lost: ") || r.Connections.Opened != 10 {
		t.Errorf("verdict %s, reasons %q, connections %+v", r.Verdict, r.Reasons, r.Connections)
	}
}

func TestAgentRefuses(t *testing.T) {
	good, _ := serveAgent(t, testToken)
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	defer stranger.Close()
	c := Config{TargetURL: "http://127.0.0.1:1/latest", Duration: time.Second, Period: 100 * time.Millisecond, Viewers: 2}
	for _, tt := range []struct {
		name   string
		agents Agents
		target string
		want   string
		code   int
	}{
		{"nobody there", Agents{Addresses: []string{"127.0.0.1:1"}, Token: testToken}, "", "connection refused", cli.ExitBench},
		{"another token", Agents{Addresses: []string{good}, Token: "another token, as long"}, "", "another token, or is no agent", cli.ExitBench},
		{"a stranger", Agents{Addresses: []string{stranger.Listener.Addr().String()}, Token: testToken}, "", "another token, or is no agent", cli.ExitBench},
		{"a short token", Agents{Addresses: []string{good}, Token: "short"}, "", "want at least 16", cli.ExitUsage},
		{"no agents", Agents{Token: testToken}, "", "no agents given", cli.ExitUsage},
		{"a target that it may not load", Agents{Addresses: []string{good}, Token: testToken, startIn: time.Millisecond}, "http://192.0.2.1/latest", `may not load "192.0.2.1"`, cli.ExitBench},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := c
			if tt.target != "" {
				c.TargetURL = tt.target
			}
			r, err := tt.agents.Run(t.Context(), c, nil)
			if r != nil || err == nil || !strings.Contains(err.Error(), tt.want) || cli.Code(err) != tt.code {
				t.Errorf("%v (code %d), want %q (%d)", err, cli.Code(err), tt.want, tt.code)
			}
		})
	}
	key, err := newAgentKey(testToken)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: key.client()}}
	defer client.CloseIdleConnections()
	for _, tt := range []struct {
		name, path, body, word string
		status                 int
	}{
		{"no word", "/status", "", "", http.StatusUnauthorized},
		{"a wrong word", "/run", "{}", strings.Repeat("0", 64), http.StatusUnauthorized},
		{"no task", "/run", "hello", key.word, http.StatusBadRequest},
		{"an unknown field", "/run", `{"Exec":"rm"}`, key.word, http.StatusBadRequest},
		{"another address", "/", "", key.word, http.StatusNotFound},
	} {
		method := http.MethodGet
		if tt.body != "" {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+good+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+tt.word)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.status)
		}
	}
}

// FuzzTask: whatever a coordinator sends, an agent refuses it or plays it; here
// it may not load anything.
func FuzzTask(f *testing.F) {
	text, err := json.Marshal(Config{TargetURL: "http://127.0.0.1:1/", Steps: []Step{{Do: []string{"slow", "3"}}}}.withDefaults().task(Part{0, 2}, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"TargetURL":"http://127.0.0.1:1/","Crowd":{"Visits":{"Curve":[1e300,-1],"Stay":1}}}`))
	f.Add([]byte(`{"TargetURL":"http://127.0.0.1:1/","Crowd":{"Visits":{"Curve":[],"Stay":0}}}`))
	f.Add([]byte(`{"TargetURL":"http://127.0.0.1:1/","Crowd":{"Stages":[{"For":-1,"To":-5}]}}`))
	f.Add([]byte(`{"TargetURL":"http://127.0.0.1:1/","Steps":[{"Do":[""]},{"At":1}],"Part":{"Index":9,"Of":3}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var task task
		if json.Unmarshal(b, &task) != nil {
			return
		}
		a := &AgentServer{allow: []string{"nowhere.invalid"}}
		if o, err := a.play(t.Context(), task, func(message) {}); o != nil || err == nil {
			t.Errorf("played %s", b)
		}
		c := Config{TargetURL: task.TargetURL, Crowd: task.Crowd, Viewers: task.Viewers, Duration: task.Duration, Steps: task.Steps, Part: task.Part}.withDefaults()
		if _, err := c.check(); err != nil {
			return
		}
		all, err := c.stays()
		if err != nil {
			return
		}
		for _, s := range c.part(all) {
			if s.join < 0 || s.leave < 0 || s.leave != 0 && s.leave < s.join {
				t.Fatalf("a stay of %+v", s)
			}
		}
	})
}

// TestSamplesOfSeveral: samples of two generators add up, also where a busy one
// has left a second out.
func TestSamplesOfSeveral(t *testing.T) {
	at := func(ms, viewers int, polls uint64, final bool) Sample {
		return Sample{At: Seconds(time.Duration(ms) * time.Millisecond), Viewers: viewers, Polls: polls, Final: final}
	}
	one := []Sample{at(1000, 3, 5, false), at(2001, 4, 6, false), at(3000, 4, 7, true)}
	two := []Sample{at(1002, 2, 1, false), at(3000, 5, 9, true)}
	want := []Sample{at(1002, 5, 6, false), at(2001, 6, 6, false), at(3000, 9, 16, true)}
	if got := mergeSeries(one, two); !slices.Equal(got, want) {
		t.Errorf("merged %+v, want %+v", got, want)
	}
	var live []Sample
	m := newSampleMerger(2, func(s Sample) { live = append(live, s) })
	m.add(0, one[0])
	m.add(0, one[1])
	m.add(1, two[0])
	if len(live) != 1 {
		t.Errorf("%d emitted before the second agent was as far", len(live))
	}
	m.add(1, two[1])
	m.add(0, one[2])
	m.end(0)
	m.end(1)
	if !slices.Equal(live, want) {
		t.Errorf("live %+v, want %+v", live, want)
	}
}
