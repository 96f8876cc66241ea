package loadtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"porthole/internal/cli"
)

// Agents are machines that play the viewers of a run together.
type Agents struct {
	Addresses []string // host:port
	Token     string
	// RootPEM is the root certificate of the target, for all of them; empty for
	// each one's system's.
	RootPEM []byte

	startIn time.Duration // tests make it shorter
}

const (
	// startIn is how long after the last question the agents begin. They are told
	// for how long to wait, not when: their clocks may differ.
	startIn = 2 * time.Second
	// agentSilence is how long an agent may say nothing; it has something to say
	// every second.
	agentSilence = 30 * time.Second
	// maxAnswer bounds what an agent says, in bytes.
	maxAnswer = 256 << 20
)

// Run is [Run] with the viewers on agents. The steps are carried out here, those
// of the viewers' kind by the first agent. An agent that is lost during the run
// leaves the figures of the others, and an inconclusive verdict.
func (a Agents) Run(ctx context.Context, c Config, emit func(Sample)) (*Report, error) {
	c = c.withDefaults()
	if _, err := c.check(); err != nil {
		return nil, err
	}
	if len(a.Addresses) == 0 {
		return nil, cli.Usage(errors.New("no agents given"))
	}
	stays, err := c.stays()
	if err != nil {
		return nil, cli.Usage(err)
	}
	c.Viewers = peak(stays)
	key, err := newAgentKey(a.Token)
	if err != nil {
		return nil, cli.Usage(err)
	}
	transport := &http.Transport{TLSClientConfig: key.client(), ResponseHeaderTimeout: agentSilence}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, address := range a.Addresses {
		if err := a.ask(ctx, client, key, address); err != nil {
			return nil, cli.WithCode(err, cli.ExitBench)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	merging := newSampleMerger(len(a.Addresses), emit)
	parts := make([]*outcome, len(a.Addresses))
	errs := make([]error, len(a.Addresses))
	var troubles troubles
	var agents, steps sync.WaitGroup
	lead := cmp.Or(a.startIn, startIn)
	start := time.Now().Add(lead)
	for i, address := range a.Addresses {
		agents.Go(func() {
			t := c.task(Part{i, len(a.Addresses)}, a.RootPEM)
			t.StartIn = lead
			parts[i], errs[i] = a.play(ctx, client, key, address, t, func(s Sample) { merging.add(i, s) })
			merging.end(i)
		})
	}
	stepping, stop := context.WithCancel(ctx)
	steps.Go(func() { c.act(stepping, start, &troubles) })
	agents.Wait()
	stop()
	steps.Wait()

	var sum *outcome
	for i, part := range parts {
		if part == nil {
			troubles.add(fmt.Sprintf("agent %s was lost: %v", a.Addresses[i], errs[i]))
			continue
		}
		for g := range part.Generators {
			part.Generators[g].Name = a.Addresses[i]
		}
		if sum == nil {
			sum = part
		} else if err := sum.merge(part); err != nil {
			return nil, err
		}
	}
	if sum == nil {
		return nil, cli.WithCode(fmt.Errorf("no agent played its part: %w", errors.Join(errs...)), cli.ExitBench)
	}
	for i, step := range c.phases() {
		if i < len(sum.Phases) {
			sum.Phases[i].expect = step.Expect
		}
	}
	sum.Troubles = append(sum.Troubles, troubles.list...)
	return sum.report(c), context.Cause(ctx)
}

// task is what an agent has to play.
func (c Config) task(p Part, roots []byte) task {
	t := task{
		TargetURL: c.TargetURL, Host: c.Host, EventsURL: c.EventsURL, Roots: roots, Viewers: c.Viewers, Duration: c.Duration,
		Period: c.Period, Ramp: c.Ramp, Think: c.Think, Engine: c.Engine, Crowd: c.Crowd, Protocol: c.Protocol, Conditional: c.Conditional,
		Reconnect: c.Reconnect, Resume: c.Resume, Wait: c.Wait, Timeout: c.Timeout, FreezeAfter: c.FreezeAfter,
		MaxPicture: c.MaxPicture, Seed: c.Seed, Part: p,
	}
	for _, s := range c.Steps {
		var own []string
		if len(s.Do) > 0 {
			if n, _ := parseNuisance(s.Do); n != nil && p.Index == 0 {
				own = s.Do
			}
			if s.Name == "" {
				s.Name = strings.Join(s.Do, " ")
			}
		}
		t.Steps = append(t.Steps, Step{At: s.At, Name: s.Name, Do: own, For: s.For})
	}
	return t
}

// ask sees whether an agent is there, knows the token, and is free.
func (a Agents) ask(ctx context.Context, client *http.Client, key agentKey, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := do(ctx, client, key, http.MethodGet, address, "/status", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var s agentStatus
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&s); err != nil {
		return fmt.Errorf("ask agent %s: %w", address, err)
	}
	switch {
	case s.Schema != Schema:
		return cli.Hint(fmt.Errorf("agent %s is of another version: %.40q", address, s.Schema), "run the same rig on both machines")
	case s.Busy:
		return fmt.Errorf("agent %s is busy with another run", address)
	}
	return nil
}

func do(ctx context.Context, client *http.Client, key agentKey, method, address, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+address+path, body)
	if err != nil {
		return nil, cli.Usage(cli.Hint(fmt.Errorf("agent %q is no address", address), "--agents takes HOST:PORT,HOST:PORT"))
	}
	req.Header.Set("Authorization", "Bearer "+key.word)
	resp, err := client.Do(req)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("ask agent %s: %w", address, err), "is rig load agent running there, with the same token?")
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		resp.Body.Close()
		return nil, fmt.Errorf("agent %s answered %s: %s", address, resp.Status, strings.TrimSpace(string(text)))
	}
	return resp, nil
}

// play has an agent play its part and reads what it says.
func (a Agents) play(ctx context.Context, client *http.Client, key agentKey, address string, t task, got func(Sample)) (*outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := fmt.Errorf("it said nothing for %v", agentSilence)
	watchdog := time.AfterFunc(agentSilence+t.StartIn, func() { cancel(silent) })
	defer watchdog.Stop()
	body, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	resp, err := do(ctx, client, key, http.MethodPost, address, "/run", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	for {
		var m message
		if err := dec.Decode(&m); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return nil, fmt.Errorf("read its answer: %w", err)
		}
		watchdog.Reset(agentSilence)
		switch {
		case m.Error != "":
			return nil, cli.Hint(errors.New(m.Error), m.Hint)
		case m.Outcome != nil:
			if m.Outcome.Total == nil || m.Outcome.Pictures == nil {
				return nil, errors.New("its outcome is incomplete")
			}
			return m.Outcome, nil
		case m.Sample != nil:
			got(*m.Sample)
		}
	}
}

// sampleMerger emits a second when all agents have told theirs, or are further.
type sampleMerger struct {
	emit    func(Sample)
	mu      sync.Mutex
	rows    [][]Sample // that are not emitted yet
	ended   []bool     // who has no more to say
	viewers []int
}

func newSampleMerger(agents int, emit func(Sample)) *sampleMerger {
	return &sampleMerger{emit: emit, rows: make([][]Sample, agents), ended: make([]bool, agents), viewers: make([]int, agents)}
}

func (m *sampleMerger) add(agent int, s Sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[agent] = append(m.rows[agent], s)
	m.flush()
}

// end stops waiting for an agent.
func (m *sampleMerger) end(agent int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[agent] = true
	m.flush()
}

func (m *sampleMerger) flush() {
	for {
		at := -1
		for i, row := range m.rows {
			switch {
			case len(row) > 0 && (at < 0 || row[0].second() < at):
				at = row[0].second()
			case len(row) == 0 && !m.ended[i]:
				return
			}
		}
		if at < 0 {
			return
		}
		var sum Sample
		last := true
		for i, row := range m.rows {
			if len(row) > 0 && row[0].second() == at {
				x := row[0]
				m.rows[i] = row[1:]
				m.viewers[i] = x.Viewers
				last = last && x.Final
				x.At = max(x.At, sum.At)
				sum = sum.join(x)
			}
			last = last && len(m.rows[i]) == 0
		}
		sum.Viewers, sum.Final = 0, last
		for _, n := range m.viewers {
			sum.Viewers += n
		}
		if m.emit != nil {
			m.emit(sum)
		}
	}
}
