package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc"
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
func refuse(ctx context.Context, s *sockets, cause error, log *slog.Logger, usable func() error) {
	notify("STATUS=cannot start: " + sanitize.OneLine(cause.Error()))
	ctx, cancel := context.WithTimeout(ctx, refuseWithin)
	defer cancel()
	idle := time.AfterFunc(refuseIdle, cancel)
	defer idle.Stop()
	asked := func() { idle.Reset(refuseIdle) }
	forwarded := &ipc.Server{Service: forwardedRefusal(cause, asked), Logger: log}
	server := &ipc.Server{Service: refusal{cause: cause, asked: asked}, Logger: log, Reload: func(context.Context, ipc.Passphrase, string) error {
		asked()
		err := usable()
		if err == nil {
			cancel()
		}
		return err
	}}
	var serving sync.WaitGroup
	for _, ln := range s.agent {
		serving.Go(func() { _ = server.Serve(ctx, ln) }) // an error changes nothing
	}
	for _, ln := range s.extra {
		serving.Go(func() { _ = forwarded.Serve(ctx, ln) })
	}
	serving.Wait()
}

// A refusal is the [agent.Service] of a daemon that cannot start.
type refusal struct {
	cause      error
	asked      func()            // called at each request
	restricted *agent.Restricted // denies what changes something; nil on the agent's own socket
}

// forwardedRefusal is the refusal on the socket for forwarding, which may be on somebody else's
// machine: the cause names files and quotes them.
func forwardedRefusal(cause error, asked func()) refusal {
	r := refusal{asked: asked, cause: &agent.Error{
		Code: agent.CodeOf(cause), Op: "start", Message: "the agent cannot start", Hint: "on its machine, run: kyc-agentd doctor",
	}}
	r.restricted = agent.ForwardingPolicy().Restrict(r)
	return r
}

func (r refusal) refuseChange(op, what string) error {
	err := r.refuse()
	if r.restricted != nil {
		return r.restricted.Denied(op, what)
	}
	return err
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

func (r refusal) Login(context.Context, agent.LoginRequest, agent.Prompter) error {
	return r.refuseChange("login", "sign-ins")
}

func (r refusal) Logout(context.Context, agent.LogoutRequest) error {
	return r.refuseChange("logout", "sign-outs")
}

func (r refusal) Recover(context.Context, agent.RecoverRequest, agent.Prompter) error {
	return r.refuseChange("recover", "changes of an account")
}

func (r refusal) Status(context.Context) (agent.Status, error) { return agent.Status{}, r.refuse() }
