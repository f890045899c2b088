package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/ipc"
)

// A prover knows one passphrase.
type prover struct{}

func (prover) HasPassphrase() bool { return true }

func (prover) CheckPassphrase(_ context.Context, p ipc.Passphrase) error {
	if p.Secret.Reveal() == "Battery-staple-9" {
		return nil
	}
	return &agent.Error{Code: agent.CodeDenied, Message: "wrong passphrase", Err: agent.ErrBadCredential}
}

// Where there is a passphrase, approve asks for it, again if it is wrong, and shows none.
func TestApproveAsksForThePassphrase(t *testing.T) {
	approvals := approval.New(approval.Options{Dir: t.TempDir()})
	service := &scriptedAgent{status: agent.Status{DefaultEnvironment: "staging", Environments: []agent.EnvironmentStatus{{Name: "prod", User: "ana"}, {Name: "staging"}}}}
	path := serveBy(t, &ipc.Server{Service: service, Approvals: approvals, Prover: prover{}})
	args := []string{"approve", "--unit", "nightly.service", "--for", "30d", "--env", "prod", "--socket", path}
	for _, tries := range [][]string{{"Battery-staple-9"}, {"wrong-1", "Battery-staple-9"}, {"wrong-1", "wrong-2", "wrong-3"}} {
		before := len(approvals.List().Granted)
		p := terminaltest.New(t)
		end := session{tty: p.TTY}.begin(t.Context(), args...)
		p.Answers(terminaltest.Answer{"Approve this for 30d? [yes/no] ", "yes"})
		for _, typed := range tries {
			p.Answers(terminaltest.Answer{"What is the passphrase of the agent? ", typed})
		}
		got, granted := end(), len(approvals.List().Granted)-before
		for _, typed := range tries {
			if strings.Contains(p.Seen()+got.errOut, typed) {
				t.Errorf("%q is shown: %s", typed, p.Seen())
			}
		}
		if right := tries[len(tries)-1] == "Battery-staple-9"; right != (got.exit == exitOK) || right != (granted == 1) {
			t.Errorf("%q: %+v, %d granted", tries, got, granted)
		}
	}
	for _, g := range approvals.List().Granted {
		if life := g.EndsAt.Sub(g.GrantedAt).Round(time.Minute); life != 30*24*time.Hour || g.Environment != "prod" || !strings.HasPrefix(g.Subject.String(), "the unit nightly.service (user)") {
			t.Errorf("%+v", g)
		}
	}
}
