package socket

import (
	"path/filepath"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/store"
)

// NamedPath returns the path of the socket called name: sockets/NAME/agent.sock beside
// the agent's own.
func NamedPath(agentSocket, name string) string {
	return filepath.Join(filepath.Dir(agentSocket), "sockets", name, "agent.sock")
}

// ListenNamed is [Listen] on [NamedPath], for a socket that is handed to somebody else's
// code: its folder can be mounted into a container without anything beside it. The
// folder holds the socket and nothing more; its lock is sockets/NAME.lock, because who
// can open a lock file, though only to read it, can hold the lock.
//
// Close leaves the folder: a container that has it mounted sees the socket of the next
// agent, and would not see another folder of the same name.
func ListenNamed(agentSocket, name string) (*Listener, error) {
	if !store.ValidKey(name) { // the rule for names of environments
		return nil, listenError(agent.CodeConfiguration, nil, anotherPath, "%q is no name for a socket", name)
	}
	path, err := socketFile(NamedPath(agentSocket, name))
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	return listenOn(path, folder+".lock", filepath.Dir(filepath.Dir(folder)), filepath.Dir(folder))
}
