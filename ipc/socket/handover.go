package socket

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/legaltalent/kyc-agent/internal/handover"
)

// A handedBinding describes a binding to the next image of this process.
type handedBinding struct {
	PID  int        `json:"pid"`
	File handedFile `json:"file,omitzero"` // zero if this process did not make it
}

// A handedFile is a file as sameSocket compares it.
type handedFile struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Time   int64  `json:"time"`
}

func handedFileOf(info fs.FileInfo) handedFile {
	if info == nil {
		return handedFile{}
	}
	st := info.Sys().(*syscall.Stat_t)
	return handedFile{uint64(st.Dev), st.Ino, info.ModTime().UnixNano()}
}

// HandOver keeps the socket and its lock for the next image of this process, where Listen,
// ListenNamed and FromSystemd find them. From then on Close leaves the file in place: clients
// that connect meanwhile wait in the backlog.
func (l *Listener) HandOver() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	handed := []handedBinding{}
	for _, b := range l.bindings {
		if l.systemd == b {
			continue // its descriptor stays open anyway
		}
		if err := handover.Put(l.handoverName(len(handed)), b.unix); err != nil {
			return err
		}
		handed = append(handed, handedBinding{b.pid, handedFileOf(b.file)})
	}
	if l.lock != nil {
		if err := handover.Put(lockHandoverName(l.lockFile), l.lock); err != nil {
			return err
		}
	}
	if err := handover.SetData("socket "+l.path, handed); err != nil {
		return err
	}
	l.handedOver = true
	return nil
}

func (l *Listener) handoverName(n int) string { return "socket " + l.path + " " + strconv.Itoa(n) }

func lockHandoverName(lockFile string) string { return "lock " + lockFile }

// receiveLocked adds what an earlier image handed on, and reports whether there was a socket.
func (l *Listener) receiveLocked() bool {
	var handed []handedBinding
	if !handover.Data("socket "+l.path, &handed) {
		return false
	}
	now, _ := os.Lstat(l.path)
	found := false
	for n, h := range handed {
		f := handover.Take(l.handoverName(n))
		if f == nil {
			continue
		}
		ul, err := net.FileListener(f)
		_ = f.Close() // net.FileListener duplicates the descriptor
		if err != nil {
			continue
		}
		b := &binding{unix: ul.(*net.UnixListener), pid: h.PID}
		b.unix.SetUnlinkOnClose(false)
		if now != nil && h.File == handedFileOf(now) {
			if root, err := os.OpenRoot(filepath.Dir(l.path)); err == nil {
				b.file, b.root, b.name = now, root, filepath.Base(l.path)
			}
		}
		l.addLocked(b)
		found = true
	}
	if lock := handover.Take(lockHandoverName(l.lockFile)); lock != nil {
		l.lock = lock
	}
	return found
}
