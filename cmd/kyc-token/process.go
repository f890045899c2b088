package main

import (
	"io"
	"time"
)

// A process is one run of kyc-token and everything of the world that it touches.
type process struct {
	args           []string
	getenv         func(string) string
	uid            int // the agent's owner must be the same
	limit          time.Duration
	stdout, stderr io.Writer
	watched        func() bool // whether stderr is a terminal
}

// An output is what a run that succeeds prints.
type output struct {
	text    string
	warning string // for a person, from outside; mostly empty
}

// main runs and returns the exit code. On failure stdout stays empty, but for what
// makes curl fail too.
func (p process) main() int {
	opts, err := parse(p.args)
	if err == nil {
		err = p.run(opts)
	}
	if err == nil {
		return exitOK
	}
	if opts.format == "curl" {
		// An empty config would let curl send the request without a token. With no
		// protocol allowed it sends nothing at all and exits 1.
		_, _ = io.WriteString(p.stdout, "proto = \"-all\"\n")
	}
	f := asFailure(err)
	_, _ = io.WriteString(p.stderr, "kyc-token: "+clean(f.text)+"\n")
	return f.exit
}

// run does what opts ask for, up to the last byte on stdout. A panic is an error
// like any other, so that it fails closed too.
func (p process) run(opts options) (err error) {
	defer func() {
		if recover() != nil {
			err = failure{exitInternal, "a bug in kyc-token ended it; run: kyc-agentd status"}
		}
	}()
	out, err := p.output(opts)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(p.stdout, out.text); err != nil {
		return failure{exitInternal, "stdout: " + err.Error() + "; nothing more was printed"}
	}
	p.warn(out.warning)
	return nil
}

// warn tells a person, and nobody's log: many a caller takes whatever is on stderr
// for a failure.
func (p process) warn(warning string) {
	if warning != "" && p.watched() {
		_, _ = io.WriteString(p.stderr, "kyc-token: warning: "+clean(warning)+"\n")
	}
}

// output is what to print.
func (p process) output(opts options) (output, error) {
	switch {
	case opts.help:
		return output{text: usage}, nil
	case opts.version:
		return output{text: "kyc-token " + version + "\n"}, nil
	}
	if opts.environment == "" {
		opts.environment = p.getenv("KYC_ENV")
	}
	request, err := opts.request()
	if err != nil {
		return output{}, err
	}
	path, err := p.socket(opts)
	if err != nil {
		return output{}, err
	}
	return fetch(path, request, p.uid, time.Now().Add(p.limit))
}
