// Command kyc-agentd holds sign-ins to the KYC API, one per environment, and hands
// out ID tokens over a Unix socket. A newcomer needs two of its verbs: `serve` is the
// daemon, `login` signs in to it; kyc-token then prints a token.
//
// Each verb is one file: serve.go, login.go, logout.go, recover.go (password and
// confirm), status.go, doctor.go (and a file for each area that it looks at), api.go,
// reload.go, run.go, env.go, logs.go (log), keygen.go, version.go. config.go is the
// manual of config.toml. serve.go and serve_store.go wire the adapters (ipc, agent/cognito,
// store/…), which do not know one another.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exit := run(ctx, os.Args[1:], systemStdio(), os.Environ())
	stop()
	os.Exit(exit)
}
