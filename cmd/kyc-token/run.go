package main

// One run of kyc-token: from the command line to the last byte on stdout.

import (
	"io"
	"time"
)

// A process is one run of kyc-token, with everything outside it that it uses.
type process struct {
	name             string // argv[0], which selects the mode
	args             []string
	getenv           func(string) string
	environ          func() []string
	exec             func(path string, args, env []string) error // runs another program in place of this one
	uid              int                                         // the agent's owner must be the same
	limit            time.Duration
	stdin            io.Reader
	stdout, stderr   io.Writer
	stderrIsTerminal func() bool
}

// An output is what a successful run prints.
type output struct {
	text    string
	warning string // from the agent for a person, not sanitized; mostly empty
}

// main runs kyc-token and returns the exit code. After a failure stdout is empty, except
// for what makes its reader fail, too.
func (p process) main() int {
	opts, err := parse(modeOfProgram(p.name), p.args)
	if err == nil {
		err = p.run(opts)
	}
	if err == nil {
		return exitOK
	}
	_, unwritten := io.WriteString(p.stdout, opts.failClosed(err))
	if unwritten == nil && p.isRunByGoogle(opts) {
		return exitOK
	}
	f := asFailure(err)
	_, _ = io.WriteString(p.stderr, "kyc-token: "+clean(f.text)+"\n")
	return f.exit
}

// run does what opts ask for, up to the last byte on stdout. It turns a panic into an
// error, so that it fails closed, too.
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
	if _, err := p.stdout.Write(bytesOf(out.text + opts.ending())); err != nil {
		return failure{exitInternal, "stdout: " + err.Error() + "; nothing more was printed"}
	}
	p.warn(out.warning)
	return nil
}

// warn prints a warning if stderr is a terminal. Elsewhere it prints nothing, because
// many callers treat any text on stderr as a failure.
func (p process) warn(warning string) {
	if warning != "" && p.stderrIsTerminal() {
		_, _ = io.WriteString(p.stderr, "kyc-token: warning: "+clean(warning)+"\n")
	}
}

// output returns what to print.
func (p process) output(opts options) (output, error) {
	switch {
	case opts.help:
		return output{text: usage}, nil
	case opts.version:
		return output{text: "kyc-token " + versionText() + "\n"}, nil
	}
	if opts.environment == "" && !opts.asksByHost() {
		opts.environment = p.getenv("KYC_ENV")
	}
	deadline := time.Now().Add(opts.timeout(p.limit))
	if done, err := p.handleLocally(opts, deadline); done || err != nil {
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
	at, err := p.socket(opts)
	if err != nil {
		return output{}, err
	}
	out, err := p.fetch(at, request, opts.mayBeEmpty(), deadline)
	if f, refused := err.(refusal); refused && f.exit == exitUsage && !opts.mode.mayAsk(body) {
		err = refusal{opts.byHand()}
	}
	if err != nil {
		return output{}, p.whoAsks(opts, err)
	}
	if out.text, err = opts.checkShape(out.text); err != nil {
		return output{}, answerFailure(at.path, err)
	}
	return out, nil
}

// handleLocally handles the operations of tools that need no agent. done is whether opts
// ask for one of these.
func (p process) handleLocally(opts options, deadline time.Time) (done bool, err error) {
	switch {
	case opts.mode == modeGit && opts.operation != "get" && opts.operation != "capability":
		// store, erase and operations of later versions of git: doing nothing is a success.
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

// readQuestion returns the tool's question. It reads stdin only for protocols that pass
// something there.
func (p process) readQuestion(opts options, deadline time.Time) (string, error) {
	switch {
	case opts.mode == modeGet:
		return p.question(opts, deadline, untilEOF)
	case opts.mode == modeGit && opts.operation == "get":
		return p.question(opts, deadline, untilBlankLine)
	case opts.mode == modeGoauth && opts.subject != "":
		p.drain(deadline) // the server's answer, which kyc-token does not need
	case opts.format == formatK8s:
		return checkInfo(p.getenv("KUBERNETES_EXEC_INFO"))
	}
	return opts.subject, nil
}

// question reads a tool's question from stdin. A person who runs the helper by hand hears
// at once what it is for.
func (p process) question(opts options, deadline time.Time, complete func(string) bool) (string, error) {
	if p.stdinIsTerminal() {
		return "", opts.byHand()
	}
	text, err := p.input(deadline, complete)
	if err == nil && text == "" {
		err = opts.byHand()
	}
	return text, err
}

func checkInfo(info string) (string, error) {
	if len(info) > maxInput {
		return "", failure{exitUsage, "KUBERNETES_EXEC_INFO has more than 64 KiB; set provideClusterInfo: false in the kubeconfig"}
	}
	return info, nil
}
