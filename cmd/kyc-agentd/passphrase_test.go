package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/ipc"
)

// A lockable is a daemon with a passphrase, or without one if it is empty.
type lockable struct{ passphrase string }

func (*lockable) Restart(context.Context) error { return nil }

func (*lockable) Lock(context.Context, time.Duration) error { return nil }

func (d *lockable) Unlock(_ context.Context, p ipc.Passphrase) error {
	if p.Secret.Reveal() != d.passphrase {
		return &agent.Error{Code: agent.CodeDenied, Message: "wrong passphrase", Err: agent.ErrBadCredential}
	}
	return nil
}

func (d *lockable) SetPassphrase(ctx context.Context, old ipc.Passphrase, next agent.Secret) error {
	err := d.Unlock(ctx, old)
	if err == nil {
		d.passphrase = next.Reveal()
	}
	return err
}

// What passphrase and unlock ask is a question, and no answer is shown.
func TestPassphraseQuestions(t *testing.T) {
	const old, next = "six-red-herons", "nine-pale-moths"
	for _, test := range []struct {
		verb, before, after string
		answers             []terminaltest.Answer
		exit                int
	}{
		{"passphrase", "", next, []terminaltest.Answer{
			{"New passphrase? ", ""}, {"nothing was typed; Ctrl-C gives up\r\nNew passphrase? ", next}, {"\nNew passphrase, again? ", old},
			{"the two are not the same; once more\r\nNew passphrase? ", next}, {"\nNew passphrase, again? ", next},
		}, exitOK},
		{"passphrase", old, next, []terminaltest.Answer{{"What is the passphrase now? ", old}, {"\nNew passphrase? ", next}, {"\nNew passphrase, again? ", next}}, exitOK},
		{"unlock", old, old, []terminaltest.Answer{
			{"What is the passphrase of the agent? ", "wrong-one"}, {"wrong passphrase; please try again\r\nWhat is the passphrase of the agent? ", old},
		}, exitOK},
		{"unlock", old, old, []terminaltest.Answer{
			{"What is the passphrase of the agent? ", "wrong-1"}, {"\nWhat is the passphrase of the agent? ", "wrong-2"}, {"\nWhat is the passphrase of the agent? ", "wrong-3"},
		}, exitDenied},
	} {
		d := &lockable{test.before}
		st := anaAtProd()
		st.Lock = &agent.LockStatus{Passphrase: test.before != ""}
		path := serveBy(t, &ipc.Server{Service: &scriptedAgent{status: st}, Daemon: d})
		p := terminaltest.New(t)
		end := session{tty: p.TTY}.begin(t.Context(), test.verb, "--socket", path)
		p.Answers(test.answers...)
		if got := end(); got.exit != test.exit || d.passphrase != test.after {
			t.Errorf("%s: %+v, and the passphrase is %q", test.verb, got, d.passphrase)
		}
		for _, a := range test.answers {
			if a[1] != "" && strings.Contains(p.Seen(), a[1]) {
				t.Errorf("%s: %q is shown: %s", test.verb, a[1], p.Seen())
			}
		}
	}
}

// Every verb that has the agent reload asks for the passphrase which that needs, at the terminal.
func TestReloadsAskForThePassphrase(t *testing.T) {
	refusal := &agent.Error{Code: agent.CodeApprovalRequired, Message: "not reloaded: audit", Hint: "at a terminal, run: kyc-agentd reload"}
	path := serveBy(t, &ipc.Server{
		Service: &scriptedAgent{status: anaAtProd()},
		Reload: func(ctx context.Context, p ipc.Passphrase, shown string) error {
			if p.Secret.IsZero() {
				return refusal
			}
			if shown != refusal.Message {
				return errors.New("confirmed is " + shown)
			}
			return (&lockable{"six-red-herons"}).Unlock(ctx, p)
		},
	})
	vars := config.Environ{"HOME=" + t.TempDir(), "KYC_AGENT_SOCK=" + path}
	for _, args := range [][]string{{"reload"}, {"use", "prod"}} {
		session{vars: vars}.run(t, args...).want(t, exitDenied, "not reloaded: audit; at a terminal, run: kyc-agentd reload")
		p := terminaltest.New(t)
		end := session{vars: vars, tty: p.TTY}.begin(t.Context(), args...)
		p.Answers(
			terminaltest.Answer{"not reloaded: audit\r\nWhat is the passphrase of the agent? ", "wrong-1"},
			terminaltest.Answer{"wrong passphrase; please try again\r\nWhat is the passphrase of the agent? ", "six-red-herons"},
		)
		if got := end(); got.exit != exitOK {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
