package daemon

import (
	"errors"
	"log/slog"
	"path/filepath"
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
		refuse(t.Context(), []*socket.Listener{ln}, broken, slog.New(slog.DiscardHandler), usable)
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
