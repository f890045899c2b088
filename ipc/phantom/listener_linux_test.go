package phantom

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// Another user's process is not answered, although it has the phantom.
func TestAnotherUser(t *testing.T) {
	testpeer.Root(t)
	curl := testpeer.Program(t, "curl", "curl")
	l := lend(t, agent.Policy{}, true)
	for uid, want := range map[uint32]string{0: "200", 65534: "000"} {
		cmd := exec.Command(curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Authorization: Bearer "+l.phantom, "http://"+l.addr()+"/kyc")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if out, _ := cmd.Output(); string(out) != want {
			t.Errorf("uid %d: %s, want %s", uid, out, want)
		}
	}
}

// A connection that its process has closed belongs to nobody; the kernel says root.
func TestClosedConnection(t *testing.T) {
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.tcp.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if uid, err := l.owners.Of(in); err != nil || uid != l.uid {
		t.Errorf("open: uid %d, %v", uid, err)
	}
	c.Close()
	if uid, err := l.owners.Of(in); err == nil {
		t.Errorf("closed: uid %d", uid)
	}
}

// A Listener can be handed to another process; that it came from is then closed.
func TestFiles(t *testing.T) {
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	tcp, netlink, err := l.Files()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	again, err := FromFiles(tcp, netlink)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.try(); err != nil || !strings.HasPrefix(again.Addr().String(), "127.0.0.1:") {
		t.Error(again.Addr(), err)
	}
}
