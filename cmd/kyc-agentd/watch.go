package main

import (
	"bytes"
	"cmp"
	"context"
	"reflect"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// watchInterval is how often `status --watch` asks the daemon.
const watchInterval = time.Second

// keepShowing shows the status until ctx ends: on a terminal always as it is, elsewhere anew each
// time that it has changed. It goes on while no agent answers, but not if none did at first.
func (o *statusOptions) keepShowing(ctx context.Context, env string) error {
	ticker := time.NewTicker(cmp.Or(o.cli.watchEvery, watchInterval))
	defer ticker.Stop()
	inPlace := isTerminal(o.cli.io.out) && !o.json && o.cli.vars.Get("TERM") != "dumb"
	var shown *agent.Status
	var said string
	for {
		st, err := o.status(ctx, env)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && shown == nil:
			return err
		case err != nil && err.Error() != said:
			said = err.Error()
			o.cli.io.say("%s", said)
		case err == nil && (inPlace || said != "" || shown == nil || changed(*shown, st)):
			if err := o.writeWatched(st, inPlace, shown == nil); err != nil {
				return err
			}
			shown, said = &st, ""
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// writeWatched writes st over what the terminal shows, or below it.
func (o *statusOptions) writeWatched(st agent.Status, inPlace, first bool) error {
	var text bytes.Buffer
	switch {
	case inPlace:
		text.WriteString("\x1b[H\x1b[J") // to the top left, and clear what is below
	case !first && !o.json:
		text.WriteString("\n")
	}
	if err := o.write(&text, st); err != nil {
		return err
	}
	out := o.cli.io.out
	if o.json {
		out = o.cli.io.shown()
	}
	_, err := out.Write(text.Bytes())
	return err
}

// changed reports whether more than the time differs.
func changed(a, b agent.Status) bool {
	a.UptimeSeconds, b.UptimeSeconds = 0, 0
	return !reflect.DeepEqual(a, b)
}
