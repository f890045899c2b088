package socket

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

// The names that a socket may have: from FileDescriptorName=, or from its unit.
var (
	agentNames = []string{"agent", "kyc-agentd.socket"}
	extraNames = []string{"extra", "kyc-agentd-extra.socket"}
)

// FromSystemd returns the listeners that systemd passed to this process: the agent's,
// and the one for forwarding, each nil if it was not passed. Both are
// nil if LISTEN_FDS is absent or meant for another process (sd_listen_fds(3)). Anything
// but one Unix stream socket of each name is an [agent.Error] with CodeConfiguration that
// says what was found.
//
// The sockets belong to systemd: their mode is not changed, and Close leaves them in place.
func FromSystemd() (ln, extra *Listener, err error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil, nil
	}
	// net.FileListener duplicates the descriptor that it gets.
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if ln, extra, err = sortByName(files); err != nil {
		return nil, nil, listenError(agent.CodeConfiguration, err, "see: systemctl --user cat kyc-agentd.socket",
			"the sockets passed by the service manager are not right: %s", err)
	}
	return ln, extra, nil
}

// sortByName makes listeners of files and tells them apart by their names.
func sortByName(files []*os.File) (ln, extra *Listener, err error) {
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
		ul, err := listenerOf(f)
		if err != nil {
			return ln, extra, err
		}
		*to = inherit(ul)
	}
	if ln == nil {
		return ln, extra, fmt.Errorf("%d came (%s), and one named %s is needed", len(files), fileNames(files), agentNames[0])
	}
	return ln, extra, nil
}

func closeAll(listeners ...*Listener) {
	for _, ln := range listeners {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

func listenerOf(f *os.File) (*net.UnixListener, error) {
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
