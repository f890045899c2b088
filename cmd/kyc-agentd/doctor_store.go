package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/config"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

const lastingStore = "run: kyc-agentd keygen, then: systemctl --user restart kyc-agentd.service"

// askKeyring lists the keys in the keyring, by a child process that is killed when it
// does not answer. It reads no secret and shows no prompt.
func (p *probe) askKeyring(ctx context.Context) error {
	_, err := keyring.New(keyring.Options{
		Command: keyring.SelfCommand(keyringVerb), Getenv: p.vars.Get, Timeout: min(3*time.Second, p.limit/3),
	}).Keys(ctx)
	return err
}

// loadKey loads the file store's key as the daemon would.
func (p *probe) loadKey() error {
	_, _, err := file.FindIdentity(p.vars.Get, p.config.KeyFile(p.vars))
	return err
}

// storeKind is the store in use, or the one that an agent started now would use.
func (p *probe) storeKind() string {
	configured := p.config.Store.String()
	switch {
	case p.answers():
		return p.status.Store.Kind
	case configured != auto.Auto:
		return configured
	}
	if err := p.keyring(); err == nil || errors.Is(err, store.ErrLocked) {
		return auto.Keyring
	}
	if errors.Is(p.loadKey(), file.ErrNoKey) {
		return auto.Memory
	}
	return auto.File
}

// checkStore says where sign-ins are kept, and why not somewhere better.
func checkStore(_ context.Context, p *probe) []finding {
	if p.configErr != nil && !p.answers() {
		return nil
	}
	kind := p.storeKind()
	if kind == auto.File || p.config.Store.String() == auto.File {
		if err := p.loadKey(); err != nil && !p.keyFromSystemd() {
			message, fix := advice(err)
			return []finding{problem("store.key", cmp.Or(fix, "run: kyc-agentd keygen"), "%s", message)}
		}
	}
	kept := store.Info{Kind: kind, Lasting: kind != auto.Memory}
	if p.answers() {
		kept = p.status.Store
	}
	switch {
	case kept.Lasting:
		return []finding{fine("store", "sign-ins are kept %s", where(kept))}
	case p.config.Store.String() == auto.Memory:
		return []finding{info("store.memory", "", "sign-ins are kept %s, as store = \"memory\" asks", where(kept))}
	}
	return []finding{warning("store.memory", lastingStore, "sign-ins are kept %s: there is neither a keyring nor a key for files", where(kept))}
}

// keyFromSystemd reports whether the agent has its key from systemd, which shows it to
// nobody else.
func (p *probe) keyFromSystemd() bool {
	return p.answers() && p.status.Store.Kind == auto.File && p.config.StoreKeyFile.String() == ""
}

// checkKeyring asks the keyring, where the agent would.
func checkKeyring(_ context.Context, p *probe) []finding {
	configured, kind := p.config.Store.String(), p.storeKind()
	if configured != auto.Auto && configured != auto.Keyring && kind != auto.Keyring {
		return nil
	}
	err := p.keyring()
	if err == nil {
		return []finding{fine("keyring", "it is there, unlocked, and answers")}
	}
	message, fix := advice(err)
	needed := problem
	if kind != auto.Keyring {
		needed = warning
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return []finding{problem("keyring.locked", fix, "%s", message)}
	case errors.Is(err, keyring.ErrTimeout):
		return []finding{needed("keyring.slow", fix, "%s", message)}
	case errors.Is(err, keyring.ErrNoKeyring) && kind != auto.Keyring:
		return []finding{info("keyring.absent", "", "%s", message)}
	case errors.Is(err, keyring.ErrNoKeyring):
		return []finding{problem("keyring.absent", fix, "%s", message)}
	}
	return []finding{needed("keyring.failed", fix, "%s", message)}
}

// minFree is what the file store needs free: one record, encrypted, beside the one it
// replaces. A disk with less than this is about to be full.
const minFree = 1 << 20 // bytes

// stateFolder is the agent's, or that of one started now.
func (p *probe) stateFolder() string {
	if p.answers() && p.status.Store.Kind == auto.File {
		return p.status.Store.Detail
	}
	return file.DefaultDir(p.vars.Get)
}

// checkStateFolder looks whether the file store can be written.
func checkStateFolder(_ context.Context, p *probe) []finding {
	if p.storeKind() != auto.File {
		return nil
	}
	dir := p.stateFolder()
	if dir == "" {
		return []finding{problem("state.missing", "set HOME, or XDG_STATE_HOME, to an absolute path", "there is no folder to keep sign-ins in")}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return []finding{problem("state.mode", "run: ls -ld "+shellquote.Quote(dir), "cannot look at %s: %s", dir, config.PlainCause(err))}
	case !info.IsDir():
		return []finding{problem("state.mode", "move it away", "%s is not a folder", dir)}
	case ownerOf(info) != os.Getuid():
		return []finding{problem("state.owner", fmt.Sprintf("run as root: chown -R %d %s", os.Getuid(), shellquote.Quote(dir)), "%s belongs to uid %d, and you are uid %d", dir, ownerOf(info), os.Getuid())}
	case info.Mode().Perm()&0o077 != 0:
		return []finding{problem("state.mode", "run: chmod 700 "+shellquote.Quote(dir), "%s is open to others (mode %04o)", dir, info.Mode().Perm())}
	}
	if f, ok := diskFinding(dir); ok {
		return []finding{f}
	}
	return []finding{fine("state", "%s can be written", dir)}
}

// diskFinding looks at the file system of dir, or of the folder it would be made in.
func diskFinding(dir string) (finding, bool) {
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var fsys unix.Statfs_t
	if err := unix.Statfs(dir, &fsys); err != nil {
		return problem("state.read-only", "run: df "+shellquote.Quote(dir), "cannot look at the file system of %s: %v", dir, err), true
	}
	const freeIt = "free some space there, or set XDG_STATE_HOME to another disk"
	switch {
	case unix.Access(dir, unix.W_OK) != nil: // a disk mounted read-only refuses root, too
		return problem("state.read-only", "make it writable, or set XDG_STATE_HOME to another folder; until then new sign-ins are lost with the agent", "%s cannot be written", dir), true
	case uint64(fsys.Bavail)*uint64(fsys.Bsize) < minFree:
		return problem("state.full", freeIt, "the disk of %s is full: %d kB are left", dir, uint64(fsys.Bavail)*uint64(fsys.Bsize)>>10), true
	case fsys.Files > 0 && fsys.Ffree == 0:
		return problem("state.full", freeIt, "the disk of %s has no room for another file (inodes)", dir), true
	}
	return finding{}, false
}
