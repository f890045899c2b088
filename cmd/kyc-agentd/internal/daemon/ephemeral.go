package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// revokeWithin is how long ServeWhile waits for Cognito to revoke the sign-ins.
const revokeWithin = 10 * time.Second

// ServeWhile runs do while an agent answers on o.Socket, and ends every sign-in of that
// agent afterwards. Signals do not end it: they are for do.
func ServeWhile(o Options, do func(*agent.Agent) error) error {
	notPrivate := Undumpable()
	d := newDaemon(o)
	if err := d.configure(); err != nil {
		return err
	}
	if notPrivate != nil {
		d.log.Warn("this process is less private than it should be", "error", notPrivate)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ln, err := socket.Listen(o.Socket)
	if err != nil {
		return err
	}
	defer ln.Close()
	if err := d.makeAgent(ctx); err != nil {
		return err
	}
	defer closeStore(d.store)
	d.recordStart()
	var serving sync.WaitGroup
	serving.Go(func() { _ = d.server().Serve(ctx, ln) })
	serving.Go(func() { d.keep(ctx, ln) })
	err = do(d.agent)
	cancel()
	serving.Wait()
	d.revokeAll()
	d.close(true)
	d.closeAudit(nil)
	return err
}

// revokeAll signs out of every environment, also of those that do has signed in to. The
// agent logs what could not be revoked.
func (d *daemon) revokeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), revokeWithin)
	defer cancel()
	st, _ := d.agent.Status(ctx) // it answers from memory
	for _, e := range st.Environments {
		if e.State != agent.StateAbsent && e.State != agent.StateUnknown {
			_ = d.agent.Logout(ctx, agent.LogoutRequest{Environment: e.Name})
		}
	}
}
