package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

const (
	// refuseIdle is how long a daemon that cannot start waits for the next client. It is
	// long enough to keep the starts below the service manager's limit.
	refuseIdle = 2 * time.Second
	// refuseWithin is less than systemd's start timeout of 90 s.
	refuseWithin = time.Minute
)

// refuse answers every client on the service manager's sockets with the reason why the
// daemon cannot start, until no client has asked for a while.
//
// The manager starts a daemon because a client is waiting. A daemon that only exited would
// leave the client in the socket's backlog and be started for it again, until systemd gives
// up and closes the socket. This way the client gets the reason, the unit fails, and the
// next client triggers a new start. After the configuration was corrected, a reload ends it
// at once: when usable returns nil.
func refuse(ctx context.Context, listeners []*socket.Listener, cause error, log *slog.Logger, usable func() error) {
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
		serving.Go(func() { _ = server.Serve(ctx, ln) }) // an error changes nothing
	}
	serving.Wait()
}

// A refusal is the [agent.Service] of a daemon that cannot start.
type refusal struct {
	cause error
	asked func() // called at each request
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
