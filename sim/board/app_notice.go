package board

import (
	"context"
	"errors"
	"sync"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
)

// Notify tells the server that the camera was switched off or on, and returns the
// status of its answer.
type Notify func(ctx context.Context, u Upload, on bool) (status int, err error)

// telling is news of the switch on their way to the server.
type telling struct {
	done chan struct{}
	stop func()
}

// tell begins to tell. "Off" is told until the server knows; that the camera is on
// the frames tell too, so that is tried once.
func (a *app) tell(ctx context.Context, cfg boardcfg.Config, link Link, on bool) *telling {
	ctx, cancel := context.WithCancel(ctx)
	t := &telling{done: make(chan struct{})}
	var wg sync.WaitGroup
	t.stop = func() { cancel(); wg.Wait() }
	wg.Go(func() {
		defer close(t.done)
		for attempt := 1; ; attempt++ {
			status, err := a.f.cfg.Notify(ctx, Upload{Config: cfg, Dial: link.Dial}, on)
			if ctx.Err() != nil || errors.Is(err, errNoNotice) {
				return
			}
			if err == nil {
				a.print(console.Line{Kind: console.Notice, What: "camera " + onOff(on), HTTP: status})
			}
			again := !on && (err != nil || status/100 == 5 || status == 429)
			if !again || !a.retry(ctx, "notice", attempt) {
				return
			}
		}
	})
	return t
}
