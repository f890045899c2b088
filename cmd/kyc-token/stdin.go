package main

import (
	"io"
	"strings"
	"time"
)

// maxInput is the largest question, in bytes, that the agent takes.
const maxInput = 64 << 10

// maxDrained is how much is read, in bytes, of what is not wanted.
const maxDrained = 1 << 20

// input is what is on stdin, to its end or to where ends says that nothing follows.
// Not all tools close it, and most wait for ever, so there is a deadline.
func (p process) input(deadline time.Time, ends func(string) bool) (string, error) {
	text, err := p.stdinUntil(deadline, maxInput, ends)
	if err == nil && len(text) > maxInput {
		err = failure{exitUsage, "stdin has more than 64 KiB; is it what the tool asks its helper?"}
	}
	return text, err
}

// drain reads stdin without looking at it: a tool may take a helper that does not
// read for one that failed.
func (p process) drain(deadline time.Time) {
	_, _ = p.stdinUntil(deadline, maxDrained, untilEOF)
}

func untilEOF(string) bool { return false }

// untilBlankLine ends what git asks.
func untilBlankLine(text string) bool {
	return strings.HasPrefix(text, "\n") || strings.Contains(text, "\n\n")
}

// stdinUntil reads until the end, or until a byte more than most is there.
func (p process) stdinUntil(deadline time.Time, most int, ends func(string) bool) (string, error) {
	type result struct {
		text string
		err  error
	}
	// A time.After and a select would bring 70 KB of calendar along.
	done := make(chan result, 2)
	time.AfterFunc(time.Until(deadline), func() {
		done <- result{err: failure{exitTemporary, "stdin did not end in time; the tool that runs this has to close it"}}
	})
	go func() {
		var text []byte
		buf := make([]byte, 4096)
		for {
			n, err := p.stdin.Read(buf)
			text = append(text, buf[:n]...)
			switch {
			case err == io.EOF, len(text) > most, ends(string(text)):
				done <- result{text: string(text)}
				return
			case err != nil:
				done <- result{err: failure{exitUsage, "stdin: " + err.Error()}}
				return
			}
		}
	}()
	r := <-done
	return r.text, r.err
}
