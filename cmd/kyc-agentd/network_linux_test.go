package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc"
)

// inNetwork runs body, a part of the test t, in a process with a separate network,
// which has a loopback and a name server, and no other names than that server's.
func inNetwork(t *testing.T, body func(*testing.T, *nameServer)) {
	t.Helper()
	const inside = "KYC_OWN_NETWORK"
	if os.Getenv(inside) != "" {
		body(t, newNameServer(t))
		return
	}
	testpeer.Root(t)
	unshare := testpeer.Program(t, "unshare", "util-linux")
	testpeer.Program(t, "ip", "iproute2")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), unshare, "--mount", "--net", "--", "sh", "-c", `ip link set lo up && exec "$@"`, "sh",
		self, "-test.v", "-test.timeout=50s", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("in a separate network:\n%s", out)
	if err != nil {
		t.Error(err)
	}
}

// A nameServer says that every name is this machine, by IPv4 and by IPv6, until it is
// silent.
type nameServer struct{ silent atomic.Bool }

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	s := new(nameServer)
	for path, text := range map[string]string{"/etc/hosts": "", "/etc/resolv.conf": "nameserver 127.0.0.1\n"} {
		replacement := t.TempDir() + "/file"
		if err := os.WriteFile(replacement, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(replacement, path, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go s.answer(conn)
	return s
}

// answer answers queries until conn is closed.
func (s *nameServer) answer(conn net.PacketConn) {
	for buf := make([]byte, 1500); ; {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if !s.silent.Load() {
			_, _ = conn.WriteTo(thisMachine(buf[:n]), from)
		}
	}
}

// thisMachine is the answer to a query for one name (RFC 1035, 4.1).
func thisMachine(query []byte) []byte {
	end := 12 // the header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5 // the root's empty label, type and class
	reply := append([]byte{}, query[:end]...)
	reply[2], reply[3] = 0x81, 0x80 // QR, RD, RA
	address := map[byte]net.IP{1: {127, 0, 0, 1}, 28: net.IPv6loopback}[query[end-3]]
	reply[7], reply[11] = 0, 0 // answers, and what else came with the query
	if address == nil {
		return reply
	}
	reply[7] = 1
	reply = append(reply, 0xc0, 12, 0, query[end-3], 0, 1, 0, 0, 0, 0, 0, byte(len(address)))
	return append(reply, address...)
}

// byName makes both environments call Cognito by a name.
func (h *fixture) byName() {
	h.alsoProd()
	url := strings.Replace(h.cognito.URL, "127.0.0.1", "localhost", 1)
	for _, env := range []string{"STAGING", "PROD"} {
		h.env = append(h.env, "KYC_"+env+"_ENDPOINT="+url, "KYC_"+env+"_ISSUER="+h.cognito.Issuer())
	}
	h.env = append(h.env, "GODEBUG=netdns=go") // as the binaries that are shipped
}

// ask wants a token as long as kyc-token does.
func (h *fixture) ask(environment string) error {
	ctx, cancel := context.WithTimeout(h.t.Context(), 8*time.Second)
	defer cancel()
	_, err := (&ipc.Client{Socket: h.socket()}).Token(ctx, agent.TokenRequest{Environment: environment})
	return err
}

// On a machine without IPv6 a name that has an IPv6 address works, too.
func TestNoIPv6(t *testing.T) {
	inNetwork(t, func(t *testing.T, _ *nameServer) {
		for _, which := range []string{"all", "default"} {
			err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				testpeer.Missing(t, "the right to turn IPv6 off", err.Error())
			}
		}
		if ln, err := net.Listen("tcp6", "[::1]:0"); err == nil {
			_ = ln.Close()
			t.Fatal("there is IPv6")
		}
		h := newFixture(t)
		h.byName()
		h.daemon("--store", "memory")
		h.login()
		if err := h.ask("staging"); err != nil {
			t.Error(err)
		}
		got := h.run("", kycAgentd("doctor", "staging"))
		for _, id := range []string{"dns", "cognito", "jwks"} {
			if !regexp.MustCompile(`(?m)^ +ok +` + id + ` `).MatchString(got.out) {
				t.Errorf("nothing good of %s: %+v", id, got)
			}
		}
	})
}

// When the name server falls silent, a token in memory is there at once, who needs a
// refresh is told in time, and the doctor names it and ends in time.
func TestSilentNameServer(t *testing.T) {
	testpeer.Slow(t)
	inNetwork(t, func(t *testing.T, names *nameServer) {
		h := newFixture(t)
		h.byName()
		h.run("", kycAgentd("keygen"))
		first := h.daemon("--store", "file")
		for _, env := range []string{"staging", "prod"} {
			if got := h.run("correct horse\n", kycAgentd("login", "-u", "ana", "--password-stdin", env)); got.exit != exitOK {
				t.Fatalf("%+v", got)
			}
		}
		_ = first.Process.Kill()
		<-first.exited
		h.daemon("--store", "file")
		if err := h.ask("staging"); err != nil {
			t.Fatal(err)
		}

		names.silent.Store(true)
		refresh := make(chan error, 1)
		go func() { refresh <- h.ask("prod") }()
		for range 100 {
			if err := h.ask("staging"); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		got := h.run("", kycAgentd("doctor"))
		t.Logf("doctor after %s:\n%s", time.Since(began).Round(time.Millisecond), got.out)
		if took := time.Since(began); got.exit != exitProblems || !strings.Contains(got.out, "dns.silent") || took > 10*time.Second {
			t.Errorf("after %s: %+v", took, got)
		}
		err := <-refresh
		if !errors.Is(err, agent.CodeUnavailable) {
			t.Errorf("the refresh: %v", err)
		}
		t.Log(err)
		if err := h.ask("staging"); err != nil {
			t.Error(err)
		}
	})
}
