package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// IO is where a command reads and writes. Commands get it as an argument of
// their Run method instead of using the process's own.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// App is a command line: a name, a sentence, and a struct whose fields and tags
// are its commands and flags.
type App struct {
	Name        string
	Description string
	// Grammar is a pointer to the struct. Commands have a method
	// Run(context.Context, cli.IO) error.
	Grammar any
	// EnvPrefix makes every flag settable by the environment, PREFIX_FLAG_NAME.
	// A flag on the command line wins.
	EnvPrefix string
}

// Main runs the app as a process does: with the process's arguments and
// streams, until done or interrupted, and returns the exit code.
func (a App) Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C must work even where the first one is waited upon.
	context.AfterFunc(ctx, stop)
	return a.Run(ctx, os.Args[1:], IO{os.Stdin, os.Stdout, os.Stderr})
}

// exited carries kong's wish to end (after help) up the stack.
type exited int

// Run parses args, runs the chosen command and reports its error.
func (a App) Run(ctx context.Context, args []string, std IO) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exited)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	parser, err := kong.New(a.Grammar,
		kong.Name(a.Name),
		kong.Description(a.Description),
		kong.Writers(std.Out, std.Err),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.DefaultEnvars(a.EnvPrefix),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std, a),
	)
	if err != nil {
		return Report(std.Err, err) // the grammar itself is wrong: a bug, seen by every test
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if len(args) == 1 && args[0] == "--version" { // what a stranger tries
		args = []string{"version"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		return Report(std.Err, Usage(Hint(err, usageHint(a.Name, err))))
	}
	return Report(std.Err, k.Run())
}

func usageHint(name string, err error) string {
	command := []string{"see", name}
	if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context != nil {
		if path := p.Context.Command(); path != "" {
			for word := range strings.FieldsSeq(path) {
				if !strings.HasPrefix(word, "<") {
					command = append(command, word)
				}
			}
		}
	}
	return strings.Join(append(command, "--help"), " ")
}
