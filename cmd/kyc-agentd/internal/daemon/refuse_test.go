package daemon

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

// A daemon that cannot start tells why until a reload finds the configuration corrected;
// the answer to that is still its own.
func TestRefuseUntilReload(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := config.Errorf("config.toml:1: unknown key nonsense")
	var corrected atomic.Bool
	usable := func() error {
		if corrected.Load() {
			return nil
		}
		return broken
	}
	ended := make(chan struct{})
	go func() {
		refuse(t.Context(), &sockets{agent: []*socket.Listener{ln}}, broken, slog.New(slog.DiscardHandler), usable)
		close(ended)
	}()
	client := &ipc.Client{Socket: path}
	if _, err := client.Token(t.Context(), agent.TokenRequest{}); !errors.Is(err, agent.CodeConfiguration) {
		t.Errorf("a token: %v", err)
	}
	if err := client.Reload(t.Context()); !errors.Is(err, agent.CodeConfiguration) {
		t.Errorf("a reload of the broken one: %v", err)
	}
	if _, err := client.Status(t.Context()); !errors.Is(err, agent.CodeConfiguration) {
		t.Errorf("the status after that: %v", err)
	}
	corrected.Store(true)
	if err := client.Reload(t.Context()); err != nil {
		t.Errorf("a reload of the corrected one: %v", err)
	}
	<-ended
}

// The socket for forwarding may be on somebody else's machine: there is no reload on it, nothing
// else that changes something, and not the cause, which names files and quotes them.
func TestRefuseOnTheSocketForForwarding(t *testing.T) {
	dir := testsocket.ShortDir(t)
	var listeners []*socket.Listener
	for _, name := range []string{"agent.sock", "agent.extra.sock"} {
		ln, err := socket.Listen(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
	}
	s := &sockets{agent: listeners[:1], extra: listeners[1:], inherited: true}
	broken := config.Errorf("/home/ana/config.toml:1: unknown key nonsense")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		refuse(ctx, s, broken, slog.New(slog.DiscardHandler), func() error { t.Error("it reloads"); return nil })
		close(ended)
	}()
	client := &ipc.Client{Socket: filepath.Join(dir, "agent.extra.sock")}
	_, token := client.Token(ctx, agent.TokenRequest{Environment: "staging"})
	_, status := client.Status(ctx)
	for what, err := range map[string]error{"a token": token, "the status": status} {
		if !errors.Is(err, agent.CodeConfiguration) || strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "kyc-agentd doctor") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"login": client.Login(ctx, agent.LoginRequest{Environment: "staging", Username: "ana"}, nil), "logout": client.Logout(ctx, agent.LogoutRequest{Environment: "staging"}),
		"recover": client.Recover(ctx, agent.RecoverRequest{Environment: "staging", Username: "ana", Action: agent.RecoverReset}, nil),
	} {
		if !errors.Is(err, agent.CodeDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := client.Reload(ctx); err == nil || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a reload: %v", err)
	}
	if _, err := (&ipc.Client{Socket: filepath.Join(dir, "agent.sock")}).Status(ctx); !errors.Is(err, agent.CodeConfiguration) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("the status on the agent's socket: %v", err)
	}
	cancel()
	<-ended
}
