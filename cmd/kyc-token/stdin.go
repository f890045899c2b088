package main

import (
	"io"
	"strings"
	"time"
)

// maxInput is the largest question, in bytes, that the agent accepts.
const maxInput = 64 << 10

// maxDrained is how many bytes drain reads.
const maxDrained = 1 << 20

// input reads stdin to its end, or until complete returns true. Not all tools close
// their end, and most wait without a limit, so there is a deadline.
func (p process) input(deadline time.Time, complete func(string) bool) (string, error) {
	text, err := p.stdinUntil(deadline, maxInput, complete)
	if err == nil && len(text) > maxInput {
		err = failure{exitUsage, "stdin has more than 64 KiB; is it what the tool asks its helper?"}
	}
	return text, err
}

// drain reads stdin and discards it, because a tool may treat a helper that does not
// read its stdin as failed. From a terminal there is nothing to wait for.
func (p process) drain(deadline time.Time) {
	if p.stdinIsTerminal() {
		return
	}
	_, _ = p.stdinUntil(deadline, maxDrained, untilEOF)
}

// stdinIsTerminal reports whether a person runs a helper by hand: tools use a pipe.
func (p process) stdinIsTerminal() bool {
	d, ok := p.stdin.(descriptor)
	return ok && d.isTerminal()
}

func untilEOF(string) bool { return false }

// untilBlankLine reports whether git's question is complete: a blank line ends it.
func untilBlankLine(text string) bool {
	return strings.HasPrefix(text, "\n") || strings.Contains(text, "\n\n")
}

// stdinUntil reads until the end, until complete returns true, or until it has more than
// most bytes.
func (p process) stdinUntil(deadline time.Time, most int, complete func(string) bool) (string, error) {
	type result struct {
		text string
		err  error
	}
	// time.After and select would link 70 KB of calendar code.
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
			case err == io.EOF, len(text) > most, complete(string(text)):
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
