// Command servebench measures the public side of the server beside others: nginx
// with the same file from memory, net/http at its best, and the design that the
// project started from. All run in turns within one run, so that what else the
// machine does hits all of them; the figures to trust are the ratios.
//
//	go run ./internal/servebench compare   CPU per answer, answers per second, memory per connection
//	go run ./internal/servebench crowd     14,000 idle and 4,500 polling viewers on one server
//	go run ./internal/servebench attack    what viewers notice of attacks
//
// It needs nginx, h2load, taskset and a C compiler with OpenSSL's headers; make
// bench-serve installs them on Debian. All traffic is on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if errors.Is(err, errGate) {
			os.Exit(3)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("which part: compare, crowd or attack?")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "serve":
		var f fixture
		f.flags(flags)
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return f.serve(ctx, out)
	case "compare":
		var c comparison
		c.flags(flags)
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return c.run(ctx, out)
	case "crowd":
		var c crowd
		c.flags(flags)
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return c.run(ctx, out)
	case "attack":
		var a attack
		a.flags(flags)
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return a.run(ctx, out)
	}
	return fmt.Errorf("no part %q: compare, crowd or attack", args[0])
}
