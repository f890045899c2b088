package ipc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
	"github.com/legaltalent/kyc-agent/ipc/socket"
)

func TestStaleSocketIsReplaced(t *testing.T) {
	path := fixture.StaleSocket(t, testsocket.ShortDir(t))
	serve(t, &Server{Service: &scripted{}}, listen(t, path))
	if _, err := (&Client{Socket: path}).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Error(err)
	}
}

func TestSecondAgentIsRefused(t *testing.T) {
	path := serveUnix(t, &scripted{})
	for range 2 {
		_, err := socket.Listen(path)
		fixture.WantError(t, err, agent.CodeUnavailable, fmt.Sprintf("an agent (pid %d) already answers on %s", os.Getpid(), path),
			fmt.Sprintf("stop it with: systemctl --user stop kyc-agentd.service or kill %d", os.Getpid()))
	}
	if _, err := (&Client{Socket: path}).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Errorf("the first agent: %v", err)
	}
}

func TestServeClosesTheSocket(t *testing.T) {
	path := filepath.Join(testsocket.ShortDir(t), "agent.sock")
	stop := serve(t, &Server{Service: &scripted{}}, listen(t, path))
	if _, err := (&Client{Socket: path}).Token(t.Context(), agent.TokenRequest{}); err != nil {
		t.Fatal(err)
	}
	stop()
	_, err := (&Client{Socket: path}).Token(t.Context(), agent.TokenRequest{})
	fixture.WantError(t, err, agent.CodeUnavailable, "no agent answers")
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket after Serve: %v", err)
	}
}

func TestWithPeer(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if c := withConnection(context.Background(), a).Value(connectionKey{}).(*connection); c.peer != (socket.Peer{}) {
		t.Error("a pipe has no peer")
	}
}

func listen(t testing.TB, path string) net.Listener {
	t.Helper()
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}
