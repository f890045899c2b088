package ipc

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/legaltalent/kyc-agent/agent"
)

// What a socket may be called: by FileDescriptorName=, or as its unit.
var (
	agentNames = []string{"agent", "kyc-agentd.socket"}
	extraNames = []string{"extra", "kyc-agentd-extra.socket"}
)

// Inherited is what systemd passed on: the agent's listener, and that of the
// socket for forwarding, if it is there. Both are nil when there is none (sd_listen_fds(3): LISTEN_FDS
// is absent, or meant for another process). Anything but one Unix stream socket of
// each name is an [agent.Error] with CodeConfiguration that tells what was found.
//
// The sockets are systemd's: their mode is not touched, and Close leaves them in place.
func Inherited() (ln, extra net.Listener, err error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil, nil
	}
	// net.FileListener duplicates what it is given.
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if ln, extra, err = inheritAll(files); err != nil {
		return nil, nil, listenError(agent.CodeConfiguration, err, "see: systemctl --user cat kyc-agentd.socket",
			"the sockets passed by the service manager are not right: %s", err)
	}
	return ln, extra, nil
}

// inheritAll sorts files by their names.
func inheritAll(files []*os.File) (ln, extra net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(ln, extra)
		}
	}()
	for _, f := range files {
		to := &ln
		switch {
		case slices.Contains(agentNames, f.Name()):
		case slices.Contains(extraNames, f.Name()):
			to = &extra
		default:
			return ln, extra, fmt.Errorf("one is named %q, and FileDescriptorName=%s is needed", f.Name(), agentNames[0])
		}
		if *to != nil {
			return ln, extra, fmt.Errorf("two of one kind came (%s)", fileNames(files))
		}
		ul, err := inherit(f)
		if err != nil {
			return ln, extra, err
		}
		*to = newListener(ul, func() {})
	}
	if ln == nil {
		return ln, extra, fmt.Errorf("%d came (%s), and one named %s is needed", len(files), fileNames(files), agentNames[0])
	}
	return ln, extra, nil
}

func closeAll(listeners ...net.Listener) {
	for _, ln := range listeners {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

func inherit(f *os.File) (*net.UnixListener, error) {
	on, err := syscall.GetsockoptInt(int(f.Fd()), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil || on == 0 {
		return nil, fmt.Errorf("%s is not a listening socket", f.Name())
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %s", f.Name(), reason(err))
	}
	ul, ok := ln.(*net.UnixListener)
	if !ok || ul.Addr().Network() != "unix" {
		_ = ln.Close()
		return nil, fmt.Errorf("%s is a %s socket, and a Unix stream socket is needed", f.Name(), ln.Addr().Network())
	}
	return ul, nil
}

func fileNames(files []*os.File) string {
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return strings.Join(names, ", ")
}
