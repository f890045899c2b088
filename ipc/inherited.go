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

// What the socket may be called: by FileDescriptorName=, or as its unit.
var inheritedNames = []string{"agent", "kyc-agentd.socket"}

// Inherited returns the listener that systemd passed on, or nil when there is
// none (sd_listen_fds(3): LISTEN_FDS is absent, or meant for another process).
// Anything but exactly one Unix stream socket of the right name is an
// [agent.Error] with CodeConfiguration that tells what was found.
//
// The socket is systemd's: its mode is not touched, and Close leaves it in place.
func Inherited() (net.Listener, error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil
	}
	// net.FileListener duplicates what it is given.
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	ln, err := inherit(files)
	if err != nil {
		return nil, listenError(agent.CodeConfiguration, err, "see: systemctl --user cat kyc-agentd.socket",
			"the sockets passed by the service manager are not right: %s", err)
	}
	return newListener(ln, func() {}), nil
}

func inherit(files []*os.File) (*net.UnixListener, error) {
	if len(files) != 1 {
		return nil, fmt.Errorf("%d came (%s), and one named %s is needed", len(files), fileNames(files), inheritedNames[0])
	}
	f := files[0]
	if !slices.Contains(inheritedNames, f.Name()) {
		return nil, fmt.Errorf("it is named %q, and FileDescriptorName=%s is needed", f.Name(), inheritedNames[0])
	}
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
