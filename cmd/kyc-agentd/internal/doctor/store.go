package doctor

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
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// askKeyring lists the keys in the keyring, in a child process that is killed if the keyring
// does not answer. It reads no secret and shows no prompt.
func (p *probe) askKeyring(ctx context.Context) error {
	_, err := keyring.New(keyring.Options{
		Command: p.opts.KeyringCommand, Getenv: p.opts.Vars.Get, Timeout: min(3*time.Second, p.limit/3),
	}).Keys(ctx)
	return err
}

// loadKey loads the file store's key as the daemon would.
func (p *probe) loadKey() error {
	_, _, err := file.FindIdentity(p.opts.Vars.Get, p.config.KeyFile(p.opts.Vars))
	return err
}

// storeKind returns the store in use, or the one that an agent started now would use.
func (p *probe) storeKind() string {
	configured := p.config.Store.String()
	switch {
	case p.answers():
		return p.status.Store.Kind
	case configured != auto.Auto:
		return configured
	}
	if keyring.IsThere(p.keyring()) {
		return auto.Keyring
	}
	if errors.Is(p.loadKey(), file.ErrNoKey) {
		return auto.Memory
	}
	return auto.File
}

// checkStore says where sign-ins are kept, and warns if a restart loses them.
func checkStore(_ context.Context, p *probe) []Finding {
	if p.configErr != nil && !p.answers() {
		return nil
	}
	kind := p.storeKind()
	if kind == auto.File || p.config.Store.String() == auto.File || p.config.Shared() {
		if err := p.loadKey(); err != nil && !p.keyFromSystemd() {
			message, fix := advice(err)
			return []Finding{problem("store.key", cmp.Or(fix, "run: kyc-agentd keygen"), "%s", message)}
		}
	}
	kept := store.Info{Kind: kind, Lasting: kind != auto.Memory}
	if p.answers() {
		kept = p.status.Store
	}
	switch {
	case kept.Lasting:
		return []Finding{ok("store", "sign-ins are kept %s", statustext.Store(kept))}
	case p.config.Store.String() == auto.Memory:
		return []Finding{info("store.memory", "", "sign-ins are kept %s, as store = \"memory\" asks", statustext.Store(kept))}
	}
	if _, err := os.Lstat(kept.NewKey); err == nil {
		return []Finding{warning("store.memory", "run: kyc-agentd reload",
			"sign-ins are kept %s, although there is a key for files now: %s", statustext.Store(kept), kept.NewKey).
			safe("kyc-agentd", "reload")}
	}
	return []Finding{warning("store.memory", "run: kyc-agentd keygen && kyc-agentd reload",
		"sign-ins are kept %s: there is neither a keyring nor a key for files", statustext.Store(kept))}
}

// keyFromSystemd reports whether the agent has its key from systemd, which shows it only to
// the agent.
func (p *probe) keyFromSystemd() bool {
	return p.answers() && (p.status.Store.Kind == auto.File || p.config.Shared()) && p.config.StoreKeyFile.String() == ""
}

// checkKeyring asks the keyring, if the agent would use it.
func checkKeyring(_ context.Context, p *probe) []Finding {
	configured, kind := p.config.Store.String(), p.storeKind()
	if configured != auto.Auto && configured != auto.Keyring && kind != auto.Keyring {
		return nil
	}
	err := p.keyring()
	if err == nil {
		return []Finding{ok("keyring", "it is unlocked, and answers")}
	}
	message, fix := advice(err)
	needed := problem
	if kind != auto.Keyring {
		needed = warning
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return []Finding{problem("keyring.locked", fix, "%s", message)}
	case errors.Is(err, keyring.ErrTimeout):
		return []Finding{needed("keyring.slow", fix, "%s", message)}
	case errors.Is(err, keyring.ErrNoKeyring) && kind != auto.Keyring:
		return []Finding{info("keyring.absent", "", "%s", message)}
	case errors.Is(err, keyring.ErrNoKeyring):
		return []Finding{problem("keyring.absent", fix, "%s", message)}
	}
	return []Finding{needed("keyring.failed", fix, "%s", message)}
}

// minFree is the free space that the file store should have. It writes an encrypted record
// beside the one that it replaces.
const minFree = 1 << 20 // bytes

// stateFolder returns the agent's state folder, or that of an agent started now.
func (p *probe) stateFolder() string {
	if p.answers() && p.status.Store.Kind == auto.File {
		return p.status.Store.Detail
	}
	return file.DefaultDir(p.opts.Vars.Get)
}

// checkStateFolder checks that the file store can be written.
func checkStateFolder(_ context.Context, p *probe) []Finding {
	if p.storeKind() != auto.File && !p.config.Shared() {
		return nil
	}
	dir := p.stateFolder()
	if dir == "" {
		return []Finding{problem("state.missing", "set HOME, or XDG_STATE_HOME, to an absolute path", "there is no folder to keep sign-ins in")}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return []Finding{problem("state.mode", "run: ls -ld "+shellquote.Quote(dir),
			"cannot look at %s: %s", dir, config.PlainCause(err))}
	case !info.IsDir():
		return []Finding{problem("state.mode", "move it away", "%s is not a folder", dir)}
	case ownerOf(info) != os.Getuid():
		return []Finding{problem("state.owner", fmt.Sprintf("run: sudo chown -R %d %s", os.Getuid(), shellquote.Quote(dir)),
			"%s belongs to uid %d, and you are uid %d", dir, ownerOf(info), os.Getuid())}
	case info.Mode().Perm()&0o077 != 0:
		return []Finding{problem("state.mode", "run: chmod 700 "+shellquote.Quote(dir),
			"%s is open to others (mode %04o)", dir, info.Mode().Perm()).safe("chmod", "700", dir)}
	}
	if f, ok := diskFinding(dir); ok {
		return []Finding{f}
	}
	return []Finding{ok("state", "%s can be written", dir)}
}

// diskFinding reports a full or read-only file system of dir, or of the folder in which it
// would be made.
func diskFinding(dir string) (Finding, bool) {
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
	free := uint64(fsys.Bavail) * uint64(fsys.Bsize)
	const freeIt = "free some space there, or set XDG_STATE_HOME to another disk"
	switch {
	case unix.Access(dir, unix.W_OK) != nil: // a read-only file system refuses root, too
		return problem("state.read-only",
			"make it writable, or set XDG_STATE_HOME to another folder; until then new sign-ins are lost when the agent stops",
			"%s cannot be written", dir), true
	case free < minFree:
		return problem("state.full", freeIt, "the disk of %s is full: %d kB are left", dir, free>>10), true
	case fsys.Files > 0 && fsys.Ffree == 0:
		return problem("state.full", freeIt, "the disk of %s has no room for another file (inodes)", dir), true
	}
	return Finding{}, false
}
