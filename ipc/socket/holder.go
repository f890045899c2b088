package socket

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// Foreign returns the name of the peer's program if that is certainly neither an agent, nor
// the service manager that listens for one, nor a program that passes connections on to one.
func (p Peer) Foreign() string {
	switch name := p.name(); {
	case name == "", name == serviceManager, strings.HasPrefix(name, "kyc-"):
	case name == "ssh", name == "sshd", name == "sshd-session", name == "socat":
	default:
		return name
	}
	return ""
}

const serviceManager = "systemd"

// name is the name under which the kernel lists the peer; "" where it does not tell.
func (p Peer) name() string {
	if p.PID == 1 {
		return serviceManager
	}
	if p.PID <= 0 {
		return ""
	}
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	return sanitize.OneLine(string(comm))
}

// held is the error of Listen for a path at whose other end is c. It says what holds the
// path, and never to end a program that is not the agent.
func held(path string, c net.Conn) error {
	p, err := PeerOf(c)
	if err != nil || p.PID <= 0 {
		return listenError(agent.CodeUnavailable, nil, "stop it with: systemctl --user stop kyc-agentd.service",
			"an agent already answers on %s", path)
	}
	// Under socket activation the user's service manager listens, and killing it would
	// end the user's session.
	if p.name() == serviceManager {
		return listenError(agent.CodeUnavailable, nil, "stop it with: systemctl --user stop kyc-agentd.socket kyc-agentd.service",
			"systemd already listens on %s", path)
	}
	if p.stopped() {
		return listenError(agent.CodeUnavailable, nil, fmt.Sprintf("let it go on with: kill -CONT %d, or end it with: kill -KILL %d", p.PID, p.PID),
			"%s (pid %d) holds %s, and is stopped: it does not answer", cmp.Or(p.Foreign(), "an agent"), p.PID, path)
	}
	switch name, kind := p.Foreign(), askKind(c); {
	case kind == kindOther:
		return listenError(agent.CodeConfiguration, nil, anotherPath,
			"%s is not kyc-agentd's socket: %s (process %d) answers there", path, cmp.Or(name, "another program"), p.PID)
	case kind == kindSilent && name != "":
		return listenError(agent.CodeUnavailable, nil, anotherPath,
			"%s (process %d), which may be no agent, already answers on %s", name, p.PID, path)
	}
	return listenError(agent.CodeUnavailable, nil, fmt.Sprintf("stop it with: systemctl --user stop kyc-agentd.service or kill %d", p.PID),
		"an agent (pid %d) already answers on %s", p.PID, path)
}

// stopped reports whether a signal or a debugger has stopped the peer.
func (p Peer) stopped() bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return len(rest) > 0 && (rest[0] == 'T' || rest[0] == 't')
}

// A kind is what a program at a socket seems to be.
type kind int

const (
	kindSilent kind = iota // it may be an agent that is busy
	kindAgent
	kindOther
)

// answerWithin is how long an agent that is not busy takes for an answer from memory.
const answerWithin = 300 * time.Millisecond

// askKind sends the other end of c a request that is harmless to an agent.
func askKind(c net.Conn) kind {
	_ = c.SetDeadline(time.Now().Add(answerWithin))
	_, _ = io.WriteString(c, "GET /v1/status HTTP/1.0\r\nHost: kyc-agent\r\n\r\n")
	answer := make([]byte, 2048)
	n, err := io.ReadAtLeast(c, answer, len("HTTP/1.1 200"))
	switch head := string(answer[:n]); {
	case n == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return kindSilent
	case strings.HasPrefix(head, "HTTP/1.") && (strings.HasPrefix(head[len("HTTP/1.1"):], " 200") || strings.Contains(head, "\nKyc-")):
		return kindAgent
	}
	return kindOther
}
