package ipc

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// TestConversationsOfOneProcess holds that a program that starts sign-ins and leaves them does
// not keep a person from signing in, and that the person's is not the one that ends.
func TestConversationsOfOneProcess(t *testing.T) {
	path := serveUnix(t, asking(func(error) {}))
	ask := func(raw string) answer {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return exchangeOn(t, c, raw)
	}
	// The person, at her prompt.
	out, err := childCommand(t, "ask", "SOCKET="+path, "REQUEST="+rawRequest("POST", "/v1/login", "{}", "Connection: close")).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, body, _ := strings.Cut(string(out), "\r\n\r\n")
	var prompt wire.LoginBody
	if err := json.Unmarshal([]byte(body), &prompt); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var ids []string
	for i := range 3 * maxConversations {
		step := ask(post([]string{"/v1/login", "/v1/account"}[i%2], "{}")).step(t)
		ids = append(ids, step.ID)
	}
	late := ask(post("/v1/login/"+ids[2*maxConversations], answers("1")))
	if p := late.problem(t); late.StatusCode != http.StatusServiceUnavailable || p.Code != agent.CodeUnavailable {
		t.Errorf("one that had to go: %d %s", late.StatusCode, late.body)
	}
	for _, id := range []string{prompt.ID, ids[len(ids)-1]} {
		if a := ask(post("/v1/login/"+id, answers("1"))); a.StatusCode != http.StatusOK {
			t.Errorf("one that is newer, or a person's: %d %s", a.StatusCode, a.body)
		}
	}
}

// Many processes with one each have no oldest to lose: the next one is refused, as before.
func TestConversationsOfManyProcesses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	all := newConversations(ctx, nil)
	stay := func(ctx context.Context, _ agent.Prompter) error { <-ctx.Done(); return context.Cause(ctx) }
	for i := range maxConversations {
		if _, err := all.start(i+1, kindLogin, stay); err != nil {
			t.Fatal(err)
		}
	}
	_, err := all.start(99, kindLogin, stay)
	fixture.WantError(t, err, agent.CodeUnavailable, fmt.Sprintf("%d sign-ins", maxConversations))
	cancel()
	all.wg.Wait()
}
