// Command kyc-agentd holds sign-ins to the KYC API, one for each environment, and hands out
// ID tokens over a Unix socket. Start with two of its verbs: `serve` runs the daemon, and
// `login` signs in to it; kyc-token then prints a token.
//
// Package main has the verbs, one in each file: serve.go, login.go, logout.go, whoami.go,
// recover.go (password and confirm), list.go, environment.go, status.go (and watch.go), wait.go,
// doctor.go, log.go, audit.go (and audittable.go, auditverify.go), support.go, service.go (start,
// stop and restart), reload.go, config.go, use.go, api.go, run.go, env.go, approve.go, approvals.go
// (and revoke), keygen.go, passphrase.go, lock.go, unlock.go, completion.go, help.go, version.go,
// auth.go.
// root.go puts them together, commandline.go understands what people type; usage.go has the
// help texts, exit.go the exit codes, interrupt.go what a signal does to them, output.go the
// rules for what they print. prompt.go and challenge.go ask a person; secretinput.go reads
// secrets from standard input.
//
// The rest is below internal:
//
//   - config: config.toml and its manual, the type Config
//   - daemon: the agent with its store, sockets and token files; only it knows all adapters
//   - doctor: the checks, one file for each area
//   - exposition: metrics in Prometheus' formats
//   - logind: the lock of the screen, and suspend
//   - service: systemd, launchd or a process, to start and stop the agent
//   - tomledit: changes one value of a TOML file
//   - terminal: prompts on /dev/tty, QR codes
//   - logging: what the daemon logs, and where to
//   - statustext: words for times, stores and users, shared by verbs
//   - version: what --version prints
package main

import (
	"io"
	"log"
	"os"
)

func main() {
	// net/http prints what a server sends beyond its answer, up to 4 KiB of it, with the
	// standard logger: "Unsolicited response received on idle HTTP channel starting with …".
	// No setting of a Transport prevents that, and such bytes may quote a token. An error
	// tells a verb all that it needs to know about a request.
	log.SetOutput(io.Discard)
	os.Exit(run(os.Args[1:], systemStdio(), os.Environ()))
}
