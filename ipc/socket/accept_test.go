package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/internal/testsocket"
	"github.com/legaltalent/kyc-agent/ipc/internal/fixture"
)

const nobody = 65534

// Many slow processes of another user do not block Accept: each holds one connection and
// sends nothing.
func TestForeignPeersDoNotBlockAccept(t *testing.T) {
	raw, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(testsocket.ShortDir(t), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l := inherit(raw)
	l.owner = os.Getuid() + 1 // so every process is another user's
	served := make(chan error, 1)
	go func() { _, err := l.Accept(); served <- err }()
	var conns []*net.UnixConn
	for range 3 * maxRefusals {
		conns = append(conns, fixture.DialUnix(t, raw.Addr().String()))
	}
	told, dropped := 0, 0
	for _, c := range conns {
		got, _ := io.ReadAll(c)
		switch {
		case strings.Contains(string(got), "this agent belongs to uid"):
			told++
		case len(got) == 0:
			dropped++
		default:
			t.Errorf("answer %q", got)
		}
	}
	if told < maxRefusals || told+dropped != len(conns) {
		t.Errorf("%d told, %d dropped of %d", told, dropped, len(conns))
	}
	_ = l.Close()
	if err := <-served; err == nil {
		t.Error("a foreigner was accepted")
	}
}

func TestListenInForeignFolder(t *testing.T) {
	testpeer.Root(t)
	dir := mkdir(t, testsocket.ShortDir(t)+"/theirs", 0o700)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	_, err := Listen(dir + "/agent.sock")
	fixture.WantError(t, err, agent.CodeConfiguration, dir+" belongs to uid 65534, and this agent runs as uid 0")
}

// A process that the kernel does not name is neither the owner's nor root's.
func TestUnnamedPeer(t *testing.T) {
	for _, owner := range []int{0, 1000} {
		c := &Conn{Owner: owner, Peer: Peer{UID: owner}, PeerErr: net.ErrClosed}
		if c.FromOwner() {
			t.Errorf("it passes for uid %d", owner)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if p, err := PeerOf(a); err == nil {
		t.Errorf("a pipe is answered by %+v", p)
	}
}

// A caller that waits for a connection of the one socket also gets those of a socket that is made
// in its place meanwhile, of the older one, and those past both.
func TestSocketIsReplacedDuringAccept(t *testing.T) {
	for _, callers := range []int{1, 3} {
		path := filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")
		l := listen(t, path).(*Listener)
		accepted := make(chan *Conn)
		failed := make(chan error, callers)
		for range callers {
			go func() {
				for {
					c, err := l.AcceptAny()
					if err != nil {
						failed <- err
						return
					}
					accepted <- c
				}
			}()
		}
		reached := func(what string, c net.Conn) {
			t.Helper()
			defer c.Close()
			got := <-accepted
			defer got.Close()
			if _, err := c.Write([]byte(what)); err != nil {
				t.Fatal(what, err)
			}
			buf := make([]byte, len(what))
			if _, err := io.ReadFull(got, buf); err != nil || string(buf) != what {
				t.Errorf("%s: read %q, %v", what, buf, err)
			}
		}
		reached("the first socket", fixture.DialUnix(t, path))
		older := filepath.Join(filepath.Dir(path), "older")
		if err := os.Rename(path, older); err != nil {
			t.Fatal(err)
		}
		if rebound, err := l.restore(); err != nil || !rebound {
			t.Fatal(rebound, err)
		}
		reached("the new socket", fixture.DialUnix(t, path))
		reached("the older one", fixture.DialUnix(t, older))
		past, err := l.dialPast(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reached("neither", past)
		_ = l.Close()
		for range callers {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	}
}

// A connection past the socket reaches a caller that waits for one of the socket.
func TestDialPastDuringAccept(t *testing.T) {
	l := listen(t, filepath.Join(testsocket.ShortDir(t), "kyc-agentd", "agent.sock")).(*Listener)
	got := make(chan error)
	go func() {
		_, err := l.AcceptAny()
		got <- err
	}()
	c, err := l.dialPast(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
