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
	"github.com/legaltalent/kyc-agent/internal/handover"
)

// The names that a socket may have: from FileDescriptorName=, or from its unit.
var (
	agentNames = []string{"agent", "kyc-agentd.socket"}
	extraNames = []string{"extra", "kyc-agentd-extra.socket"}
)

// Inherited are the listeners that the service manager passed, by their names. There are
// several of one name if its unit has several lines ListenStream=.
type Inherited struct {
	Agent, Extra []*Listener
	// Unknown are names that no socket of this version has. They are for a warning: a unit of
	// another version must not keep this one from starting.
	Unknown []string
}

// systemdFiles are the descriptors that systemd passed. They stay open, because the next image of this
// process gets them as this one did; net.FileListener duplicates what it gets.
var systemdFiles []*os.File

// FromSystemd returns the listeners that systemd passed to this process: the agent's, and
// those for forwarding. There are none if LISTEN_FDS is absent or meant for another process
// (sd_listen_fds(3)). Anything but Unix stream sockets, and none for the agent among them, is
// an [agent.Error] with CodeConfiguration that says what was found.
//
// The sockets belong to systemd: their mode is not changed, and Close leaves them in place.
func FromSystemd() (Inherited, error) {
	if files := activation.Files(true); len(files) > 0 {
		systemdFiles = files
		handover.KeepListenFDs(namesOf(files))
	}
	all, err := sortByName(systemdFiles)
	if err != nil {
		return Inherited{}, listenError(agent.CodeConfiguration, err, "see: systemctl --user cat kyc-agentd.socket",
			"the sockets passed by the service manager are not right: %s", err)
	}
	return all, nil
}

// sortByName makes listeners of files and tells them apart by their names.
func sortByName(files []*os.File) (all Inherited, err error) {
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	for _, f := range files {
		var to *[]*Listener
		switch {
		case slices.Contains(agentNames, f.Name()):
			to = &all.Agent
		case slices.Contains(extraNames, f.Name()):
			to = &all.Extra
		default:
			all.Unknown = append(all.Unknown, f.Name())
			continue
		}
		ul, err := listenerOf(f)
		if err != nil {
			return all, err
		}
		*to = append(*to, inherit(ul))
	}
	if len(all.Agent) == 0 && len(all.Extra) > 0 {
		return all, fmt.Errorf("%d came (%s), and one named %s is needed", len(files), fileNames(files), agentNames[0])
	}
	return all, nil
}

// Close closes all of them.
func (all Inherited) Close() {
	for _, ln := range slices.Concat(all.Agent, all.Extra) {
		_ = ln.Close()
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

func fileNames(files []*os.File) string { return strings.Join(namesOf(files), ", ") }

func namesOf(files []*os.File) (names []string) {
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}
