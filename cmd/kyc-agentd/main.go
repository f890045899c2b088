// Command kyc-agentd holds sign-ins to the KYC API, one per environment, and hands
// out ID tokens over a Unix socket. A newcomer needs two of its verbs: `serve` is the
// daemon, `login` signs in to it; kyc-token then prints a token.
//
// Each verb is one file: serve.go, login.go, logout.go, recover.go (password and
// confirm), status.go, doctor.go (and a file for each area that it looks at), logs.go
// (log), reload.go, api.go, run.go, env.go, keygen.go, completion.go, version.go; usage.go
// has their help texts, exit.go the exit codes. config.go is the manual of config.toml.
// serve.go wires the adapters (ipc, agent/cognito, agent/awscreds, agent/sink, store/…),
// which do not know one another; forward.go, metrics.go and refuse.go are what else it
// serves: the socket for forwarding, figures, and the reason why it cannot start.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// net/http prints what a server sends beyond its answer, up to 4 KiB of it, by the
	// standard logger: "Unsolicited response received on idle HTTP channel starting with …".
	// No setting of a Transport prevents that, and such bytes may quote a token. What a
	// verb has to know of a request, its error says.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exit := run(ctx, os.Args[1:], systemStdio(), os.Environ())
	stop()
	os.Exit(exit)
}
