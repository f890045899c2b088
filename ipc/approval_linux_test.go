package ipc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

// Without an approval no request of the matrix gets a token, AWS credentials, or to the API, on
// the agent's own socket and on those with a policy: by the environment or by the socket.
func TestConfirmMatrix(t *testing.T) {
	cells := matrix(t)
	for _, test := range []struct{ byPolicy, nobody bool }{{false, false}, {true, false}, {true, true}} {
		byPolicy := test.byPolicy
		for column, policy := range columns() {
			if byPolicy && policy == nil {
				continue
			}
			var changes atomic.Int32
			api := newUpstream(t, nil)
			service := matrixService(api.URL, &changes)
			approvals := approval.New(approval.Options{})
			s := &Server{Service: service, Proxy: true, Metrics: http.HandlerFunc(someMetrics), Approvals: approvals}
			if policy != nil {
				confirmed := *policy
				confirmed.Confirm = byPolicy
				s.Restricted = confirmed.Restrict(service)
			}
			if test.nobody { // there is nobody to ask, and nothing is handed out
				s.Approvals = nil
			}
			if !byPolicy {
				approvals.Configure([]string{"staging", "prod"})
			}
			ln := serveMemServer(t, s)
			refused := 0
			for _, name := range slices.Sorted(maps.Keys(cells)) {
				a := ask(t, ln, cells[name].raw)
				if all := fmt.Sprint(a.Header) + a.body; strings.Contains(all, fixture.JWT) || strings.Contains(all, awsSecret) {
					t.Errorf("%s on %s: %s", name, column, all)
				}
				if a.Header.Get("Kyc-Error") == string(agent.CodeApprovalRequired) {
					refused++
					if a.StatusCode != http.StatusForbidden {
						t.Errorf("%s on %s: %d", name, column, a.StatusCode)
					}
				}
			}
			if api.wire() != "" {
				t.Errorf("%s: forwarded: %s", column, api.wire())
			}
			if refused == 0 && !test.nobody {
				t.Errorf("%s: no request was asked about", column)
			}
		}
	}
}

// That an environment needs approvals holds from the next request on, also on a connection that has
// had a token, and ends as soon.
func TestConfirmOnAnOpenConnection(t *testing.T) {
	approvals := approval.New(approval.Options{})
	ln := serveMemServer(t, &Server{Service: matrixService("https://staging.example.com", new(atomic.Int32)), Approvals: approvals})
	c := dial(t, ln)
	for n, test := range []struct {
		confirm []string
		want    int
	}{
		{nil, 200}, {[]string{"prod"}, 200}, {[]string{"prod", "staging"}, 403}, {[]string{"staging"}, 403}, {[]string{}, 200},
	} {
		approvals.Configure(test.confirm)
		a := exchangeOn(t, c, rawRequest(http.MethodGet, "/v1/token?env=staging", "", textPlain))
		if a.StatusCode != test.want || strings.Contains(a.body, fixture.JWT) != (test.want == 200) {
			t.Errorf("%d: with %q: %d, %s", n, test.confirm, a.StatusCode, a.body)
		}
	}
}

// serveConfirmed serves on a real socket, whose clients are this process. answer is called with each
// request for an approval.
func serveConfirmed(t *testing.T, service agent.Service, answer func(*approval.Approvals, approval.Request)) (path string) {
	t.Helper()
	var approvals *approval.Approvals
	approvals = approval.New(approval.Options{Dir: t.TempDir(), Announce: func(r approval.Request) { go answer(approvals, r) }})
	approvals.Configure([]string{"staging"})
	path = filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	serve(t, &Server{Service: service, Approvals: approvals, Proxy: true}, listen(t, path))
	return path
}

// A unit's credential needs an approval as well.
func TestConfirmUnitCredential(t *testing.T) {
	service := matrixService("https://staging.example.com", new(atomic.Int32))
	path := serveConfirmed(t, service, func(a *approval.Approvals, r approval.Request) { _ = a.Deny(r.ID) })
	if got, err := askAsManager(path, managerName("x.service", "kyc-token.staging")); got != "" || err != nil {
		t.Errorf("denied: %q, %v", got, err)
	}
	if got, _ := askAsManager(path, managerName("x.service", "kyc-token.prod")); got != fixture.JWT {
		t.Errorf("an environment without confirm: %q", got)
	}
	path = serveConfirmed(t, service, func(a *approval.Approvals, r approval.Request) {
		if _, err := a.Approve(r.ID, approval.Terms{}); err != nil {
			t.Error(err)
		}
	})
	asker := childCommand(t, "credential", "SOCKET="+path, "NAME="+managerName("x.service", "kyc-token.staging"))
	asker.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an approval is for a session, whose leader this test may have outlived
	if got, err := asker.Output(); string(got) != fixture.JWT || err != nil {
		t.Errorf("approved: %q, %v", got, err)
	}
}

// The client's calls, and what a passphrase changes.
func TestClientApprovals(t *testing.T) {
	approvals := approval.New(approval.Options{Dir: t.TempDir()})
	pass := &passphrase{}
	path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
	service := matrixService("https://staging.example.com", new(atomic.Int32))
	serve(t, &Server{Service: service, Approvals: approvals, Prover: pass}, listen(t, path))
	c := &Client{Socket: path}
	unit := approval.Standing{Unit: peer.Unit{Name: "x.service", User: true}, Environment: "staging", Kind: approval.KindAPI, Methods: []string{"GET"}, Paths: []string{"/kyc/*"}}
	g, err := c.ApproveUnit(t.Context(), unit, agent.Secret{})
	if err != nil || g.Subject.Unit != unit.Unit || !g.Standing || len(g.Paths) != 1 {
		t.Fatalf("%+v, %v", g, err)
	}
	list, err := c.Approvals(t.Context())
	if err != nil || len(list.Granted) != 1 || list.Granted[0].ID != g.ID || list.Passphrase {
		t.Errorf("%+v, %v", list, err)
	}
	for name, s := range map[string]approval.Standing{
		"unknown environment": {Unit: unit.Unit, Environment: "moon"}, "unknown socket": {Unit: unit.Unit, Environment: "staging", Socket: "moon"},
		"no unit": {Environment: "staging"},
	} {
		if _, err := c.ApproveUnit(t.Context(), s, agent.Secret{}); err == nil {
			t.Errorf("%s: approved", name)
		}
	}
	if _, err := c.Approve(t.Context(), "7F/3K", approval.Terms{}, agent.Secret{}); err == nil {
		t.Error("a code with a slash")
	}
	pass.word = "Battery-staple-9"
	if list, _ := c.Approvals(t.Context()); !list.Passphrase {
		t.Error("the passphrase is not asked for")
	}
	if _, err := c.ApproveUnit(t.Context(), unit, agent.NewSecret("wrong")); !errors.Is(err, agent.CodeDenied) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := c.ApproveUnit(t.Context(), unit, agent.NewSecret(pass.word)); err != nil {
		t.Error(err)
	}
	if n, err := c.RevokeAll(t.Context()); n != 2 || err != nil { // needs none: it only forbids
		t.Errorf("%d, %v", n, err)
	}
	if err := c.Revoke(t.Context(), g.ID); !errors.Is(err, agent.CodeUsage) {
		t.Error(err)
	}
}

type passphrase struct{ word string }

func (p *passphrase) HasPassphrase() bool { return p.word != "" }

func (p *passphrase) CheckPassphrase(_ context.Context, given Passphrase) error {
	if given.Secret.Reveal() == p.word && given.PID == os.Getpid() {
		return nil
	}
	return &agent.Error{Code: agent.CodeDenied, Message: "wrong passphrase"}
}
