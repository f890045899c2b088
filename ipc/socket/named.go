package socket

import (
	"path/filepath"
	"slices"

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

// RemoveNamed removes the folders that ListenNamed made for other sockets than those in keep,
// and on which nobody listens: of a daemon that was killed, or of a socket that is not
// configured any more. It leaves what is not such a folder, or has anything else in it. It
// returns the names of those that it removed.
func RemoveNamed(agentSocket string, keep []string) (removed []string) {
	sockets := filepath.Dir(filepath.Dir(NamedPath(agentSocket, "x")))
	f, err := openPrivate(sockets)
	if err != nil {
		return nil
	}
	defer f.close()
	entries, _ := f.file.ReadDir(-1)
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() && store.ValidKey(name) && !slices.Contains(keep, name) && f.removeNamed(name) {
			removed = append(removed, name)
		}
	}
	return removed
}

// removeNamed removes the folder of the socket called name while it holds the lock of that,
// and then the lock: takeLock looks whether the file that it locked is still there.
func (f *folder) removeNamed(name string) bool {
	path := filepath.Join(f.path, name, "agent.sock")
	lock, err := takeLock(path, f, name+".lock")
	if err != nil {
		return false
	}
	defer lock.Close()
	dir, err := openPrivate(filepath.Dir(path))
	if err != nil {
		return false
	}
	defer dir.close()
	if clearStale(dir, filepath.Base(path)) != nil || f.root.Remove(name) != nil {
		return false
	}
	_ = f.root.Remove(name + ".lock")
	return true
}
