// A process that runs for two milliseconds need not watch how many CPUs it may use.
// Without that it has one goroutine less and takes 0.05 ms less.
//
//go:debug updatemaxprocs=0

// Command kyc-token prints an ID token for the KYC API, which it gets from kyc-agentd:
//
//	kyc-agentd login prod
//	curl --proto -all -K <(kyc-token -f curl prod) https://kyc.legaltalent.ai/kyc --json @body.json
//
// It is also the credential helper of other tools: of Bazel as `kyc-token get`, and of
// git, Terraform and the go command under the names git-credential-kyc,
// terraform-credentials-kyc and goauth-kyc. `kyc-token exec` passes the token to a
// program in its environment.
//
// It sends one HTTP/1.0 request over the agent's Unix socket and copies the answer
// to stdout; the agent renders every format and implements every tool's protocol. An
// answer that does not look like what was asked for is not printed. Scripts call
// kyc-token in loops, so it has to start fast: it makes raw system calls and does
// not import net, fmt, flag or encoding/json, which a test checks. `kyc-token -h` is the
// manual.
package main

import (
	"os"
	"syscall"
	"time"
)

// limit is how long the whole exchange with the agent may take. Most callers of
// credential helpers wait without a limit, so kyc-token has to set one.
const limit = 8 * time.Second

func main() {
	p := process{
		name:             os.Args[0],
		args:             os.Args[1:],
		getenv:           os.Getenv,
		environ:          os.Environ,
		exec:             syscall.Exec,
		uid:              os.Geteuid(),
		limit:            limit,
		stdin:            descriptor(0),
		stdout:           descriptor(1),
		stderr:           descriptor(2),
		stderrIsTerminal: descriptor(2).isTerminal,
	}
	os.Exit(p.main())
}
