package main

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc"
)

const (
	// refuseIdle is how long a daemon that cannot start waits for the next who asks:
	// long enough for starts to be rarer than the service manager's limit allows.
	refuseIdle = 2 * time.Second
	// refuseWithin is less than the 90 s that systemd gives a start.
	refuseWithin = time.Minute
)

// refuse tells everybody who asks on sockets of the service manager why there is no
// agent, until nobody does any more.
//
// The manager starts a daemon because a client is waiting. One that just ended would
// leave the client in the socket's backlog, be started for it again, and so on, until
// systemd gives up on the service and closes the socket. Like this the client has its
// answer, the service has failed, and the next client starts it anew. Whoever mended the
// configuration need not wait for that: a reload ends it, where usable now is nil.
func refuse(ctx context.Context, listeners []net.Listener, cause error, log *slog.Logger, usable func() error) {
	notify("STATUS=cannot start: " + sanitize.OneLine(cause.Error()))
	ctx, cancel := context.WithTimeout(ctx, refuseWithin)
	defer cancel()
	idle := time.AfterFunc(refuseIdle, cancel)
	defer idle.Stop()
	asked := func() { idle.Reset(refuseIdle) }
	server := &ipc.Server{Service: refusal{cause, asked}, Logger: log, Reload: func(context.Context) error {
		asked()
		err := usable()
		if err == nil {
			cancel()
		}
		return err
	}}
	var serving sync.WaitGroup
	for _, ln := range listeners {
		serving.Go(func() { _ = server.Serve(ctx, ln) }) // it ends, or is broken: all the same
	}
	serving.Wait()
}

// A refusal is the service of a daemon that cannot start.
type refusal struct {
	cause error
	asked func() // is called first
}

func (r refusal) refuse() error {
	r.asked()
	return r.cause
}

func (r refusal) Token(context.Context, agent.TokenRequest) (agent.Token, error) {
	return agent.Token{}, r.refuse()
}

func (r refusal) AWSCredentials(context.Context, agent.TokenRequest) (agent.AWSCredentials, error) {
	return agent.AWSCredentials{}, r.refuse()
}

func (r refusal) Login(context.Context, agent.LoginRequest, agent.Prompter) error { return r.refuse() }

func (r refusal) Logout(context.Context, agent.LogoutRequest) error { return r.refuse() }

func (r refusal) Recover(context.Context, agent.RecoverRequest, agent.Prompter) error {
	return r.refuse()
}

func (r refusal) Status(context.Context) (agent.Status, error) { return agent.Status{}, r.refuse() }
