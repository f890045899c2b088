package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// An interruption is the error of a verb that a signal ended: Ctrl-C is SIGINT. A shell and
// its scripts know that by the exit code, 128 and the number of the signal.
type interruption struct {
	signal syscall.Signal
	err    error // what the verb says about it
}

func (i *interruption) Error() string { return i.err.Error() }

func (i *interruption) Unwrap() error { return i.err }

// caught is the cause of a context that a signal has ended.
type caught struct{ syscall.Signal }

func (c caught) Error() string { return c.String() }

// untilSignal is [signal.NotifyContext] with a cause that [interrupted] understands.
func untilSignal(parent context.Context, signals ...os.Signal) (ctx context.Context, stop func()) {
	ctx, catch, stop := untilCaught(parent, signals...)
	catch()
	return ctx, stop
}

// untilCaught is untilSignal for what may not need it: signals are caught from the call of catch on.
// To catch them takes two threads, a fourteenth of the time of `kyc-agentd --version`.
func untilCaught(parent context.Context, signals ...os.Signal) (ctx context.Context, catch, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 1)
	catch = func() {
		signal.Notify(ch, signals...)
		go func() {
			select {
			case s := <-ch:
				cancel(caught{s.(syscall.Signal)})
			case <-ctx.Done():
			}
		}()
	}
	return ctx, catch, func() { signal.Stop(ch); cancel(nil) }
}

// interrupted returns err, or an interruption if a signal has ended ctx. A verb that has
// succeeded all the same has no error, and one that has printed everything keeps its exit
// code.
func interrupted(ctx context.Context, err error) error {
	c, ok := context.Cause(ctx).(caught)
	if _, printed := errors.AsType[exitStatus](err); !ok || err == nil || printed {
		return err
	}
	return &interruption{c.Signal, err}
}
