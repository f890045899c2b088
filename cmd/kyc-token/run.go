package main

import (
	"io"
	"time"
)

// A process is one run of kyc-token and everything of the world that it touches.
type process struct {
	name             string // the program's, as it was called
	args             []string
	getenv           func(string) string
	environ          func() []string
	exec             func(path string, args, env []string) error // becomes another program
	uid              int                                         // the agent's owner must be the same
	limit            time.Duration
	stdin            io.Reader
	stdout, stderr   io.Writer
	stderrIsTerminal func() bool // whether stderr is a terminal
}

// An output is what a run that succeeds prints.
type output struct {
	text    string
	warning string // for a person, from outside; mostly empty
}

// main runs and returns the exit code. On failure stdout stays empty, but for what
// makes the reader fail too.
func (p process) main() int {
	opts, err := parse(modeOfProgram(p.name), p.args)
	if err == nil {
		err = p.run(opts)
	}
	if err == nil {
		return exitOK
	}
	_, _ = io.WriteString(p.stdout, opts.failClosed(err))
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
	if opts.mode == modeExec && !opts.help && !opts.version {
		p.warn(out.warning)
		return p.execCommand(opts.command, out.text)
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
	if warning != "" && p.stderrIsTerminal() {
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
	if opts.environment == "" && !opts.asksByHost() {
		opts.environment = p.getenv("KYC_ENV")
	}
	deadline := time.Now().Add(opts.timeout(p.limit))
	if over, err := p.handleLocally(opts, deadline); over || err != nil {
		return output{}, err
	}
	body, err := p.readQuestion(opts, deadline)
	if err != nil {
		return output{}, err
	}
	request, err := opts.request(body)
	if err != nil {
		return output{}, err
	}
	path, err := p.socket(opts)
	if err != nil {
		return output{}, err
	}
	return fetch(path, request, p.uid, opts.mayBeEmpty(), deadline)
}

// handleLocally does what a tool may ask besides a token.
func (p process) handleLocally(opts options, deadline time.Time) (over bool, err error) {
	switch {
	case opts.mode == modeGit && opts.operation != "get" && opts.operation != "capability":
		// store, erase, and what git may think of later: nothing to do, and no failure.
		p.drain(deadline)
		return true, nil
	case opts.mode == modeTerraform && opts.operation == "store":
		p.drain(deadline)
		fallthrough
	case opts.mode == modeTerraform && opts.operation != "get":
		return true, failure{exitUsage, "terraform cannot " + opts.operation + " a token here; run: kyc-agentd login (or: kyc-agentd logout)"}
	}
	return false, nil
}

// readQuestion is what the tool asks. Only protocols that put it on stdin have that read.
func (p process) readQuestion(opts options, deadline time.Time) (string, error) {
	switch {
	case opts.mode == modeGet:
		return p.input(deadline, untilEOF)
	case opts.mode == modeGit && opts.operation == "get":
		return p.input(deadline, untilBlankLine)
	case opts.mode == modeGoauth && opts.subject != "":
		p.drain(deadline) // the server's answer, which says nothing that is not known
	case opts.format == formatK8s:
		return checkInfo(p.getenv("KUBERNETES_EXEC_INFO"))
	}
	return opts.subject, nil
}

func checkInfo(info string) (string, error) {
	if len(info) > maxInput {
		return "", failure{exitUsage, "KUBERNETES_EXEC_INFO has more than 64 KiB; set provideClusterInfo: false in the kubeconfig"}
	}
	return info, nil
}
