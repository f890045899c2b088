// A process of two milliseconds need not watch how many CPUs it may use; this is one
// goroutine and 0.05 ms less.
//
//go:debug updatemaxprocs=0

// Command kyc-token prints an ID token of the KYC API, out of the sign-in that
// kyc-agentd holds. Two calls are all there is to know:
//
//	kyc-agentd login prod
//	curl -K <(kyc-token -f curl prod) https://kyc.legaltalent.ai/kyc --json @body.json
//
// It is the credential helper of other tools, too: `kyc-token get` of Bazel, and
// under the names git-credential-kyc, terraform-credentials-kyc and goauth-kyc of
// those. `kyc-token exec` hands the token to a program in its environment.
//
// It sends one HTTP/1.0 request over the agent's Unix socket and copies the answer
// to stdout; the agent renders every format, and speaks every tool's protocol. Scripts
// call it in loops, so it is built to start fast: raw system calls, and no net, fmt,
// flag or encoding/json, which a test holds true. `kyc-token -h` is the manual.
package main

import (
	"os"
	"syscall"
	"time"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = "(devel)"

// limit is how long the whole exchange with the agent may take. Callers of
// credential helpers mostly wait for ever, so the end has to be set here.
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
