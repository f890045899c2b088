// Demo shows the whole product on this machine: `make demo` runs it.
//
// It builds kyc-agentd and kyc-token, starts a simulated Cognito and a KYC API on
// loopback and an agent that keeps its sign-in in memory, and then runs the commands that
// a person would type: sign in, ask for a token, call the API, get a newer token, look
// at the status, sign out. Every command is printed with its real output; tokens are
// shortened. It exits 0 if both API calls were answered 200, and leaves no files behind.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}
