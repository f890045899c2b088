// Package sandbox says what a command of `run --sandbox` sees of the machine, in the words of
// bubblewrap.
//
//	args, err := sandbox.Plan{Homes: …, Work: wd, Secrets: paths}.Args()
//	exec.Command("bwrap", append(args, "--", program)...)
//
// Everything is read-only but the working folder and fresh /tmp, /var/tmp and /run. The folders
// where people keep keys, the agent's own and the sockets of other programs are hidden. The
// process, IPC, host name, cgroup and network name spaces are new, and so abstract sockets, the
// buses, the service manager and other processes are out of reach.
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Plan is what differs from command to command. Its paths are absolute.
type Plan struct {
	// Homes are the user's home folders: that of $HOME, and that of the user database.
	Homes []string
	// Work is the folder that the command may write.
	Work string
	// Fresh are folders that are replaced by empty ones: $XDG_RUNTIME_DIR and $TMPDIR.
	Fresh []string
	// Private are folders that are hidden, if they are there.
	Private []string
	// Secrets are files and sockets that must not be reachable. Their folders are hidden,
	// because a file that replaces one later would not be.
	Secrets []string
}

// fresh are the folders that are always replaced by empty ones.
var fresh = []string{"/tmp", "/var/tmp", "/run", "/var/run", "/dev/shm"}

// system are the folders that no command may get as its working folder: root's commands could
// write there.
var system = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/run"}

// private are the places in a home folder where programs keep keys, passwords, sessions and
// what was typed.
var private = []string{
	".ssh", ".gnupg", ".pki", ".password-store", ".netrc", ".authinfo", ".authinfo.gpg",
	".local/share/keyrings", ".local/share/kwalletd", ".config/kwalletrc",
	".config/kyc-agent", ".local/state/kyc-agent",
	".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/containers", ".config/op", ".config/sops", ".config/age", ".config/rclone", ".vault-token",
	".config/gh", ".config/glab-cli", ".config/hub", ".git-credentials", ".config/git/credentials",
	".npmrc", ".pypirc", ".config/pip", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml",
	".gradle/gradle.properties", ".terraformrc", ".terraform.d", ".pgpass", ".my.cnf",
	".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".config/microsoft-edge",
	".bash_history", ".zsh_history", ".history", ".python_history", ".node_repl_history", ".psql_history", ".mysql_history", ".lesshst", ".viminfo",
	".local/share/fish", ".local/share/atuin", ".Xauthority", ".ICEauthority", ".dbus", ".screen", ".tmux",
}

// Args returns the arguments of bwrap, up to its --.
func (p Plan) Args() ([]string, error) {
	p.Homes, p.Fresh = realPaths(p.Homes), realPaths(append(slices.Clone(fresh), p.Fresh...))
	p.Fresh = slices.DeleteFunc(p.Fresh, func(dir string) bool { return within("/dev", dir) }) // --dev makes a new one
	work, err := filepath.EvalSymlinks(p.Work)
	if err != nil {
		return nil, fmt.Errorf("the working folder cannot be found: %w", errors.Unwrap(err))
	}
	p.Work = work
	if err := p.checkWork(); err != nil {
		return nil, err
	}
	hidden, err := p.hidden()
	if err != nil {
		return nil, err
	}
	args := []string{
		"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--unshare-net",
		"--die-with-parent", "--as-pid-1", "--cap-drop", "ALL",
		"--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
	}
	for _, dir := range p.Fresh {
		args = append(args, "--tmpfs", dir)
	}
	for _, home := range p.Homes {
		if !slices.ContainsFunc(p.Fresh, func(dir string) bool { return within(home, dir) }) {
			continue // it is there, and to show it again would show what is fresh in it
		}
		args = append(args, "--ro-bind", home, home)
		for _, dir := range p.Fresh {
			if dir != home && within(dir, home) {
				args = append(args, "--tmpfs", dir)
			}
		}
	}
	args = append(args, "--bind", p.Work, p.Work)
	for _, path := range hidden {
		args = append(args, mask(path)...)
	}
	return append(args, "--chdir", p.Work), nil
}

// mask returns the arguments that hide what is at path.
func mask(path string) []string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return []string{"--tmpfs", path, "--remount-ro", path}
	}
	return []string{"--ro-bind", "/dev/null", path} // without its device: it cannot be opened
}

// checkWork refuses a working folder from which a command could leave: start-up files are in
// home and in its folders that begin with a dot, and sockets in those that are fresh.
func (p Plan) checkWork() error {
	for _, home := range p.Homes {
		if within(home, p.Work) {
			return fmt.Errorf("the working folder %s has your home folder in it, and so the start-up files of your programs", p.Work)
		}
		if rel, err := filepath.Rel(home, p.Work); err == nil && within(p.Work, home) && strings.HasPrefix(rel, ".") {
			return fmt.Errorf("the working folder %s is where programs keep their settings", p.Work)
		}
	}
	for _, dir := range p.Fresh {
		if within(dir, p.Work) {
			return fmt.Errorf("the working folder %s has sockets and files of other programs in it", p.Work)
		}
	}
	for _, dir := range system {
		if within(p.Work, dir) || p.Work == "/" {
			return fmt.Errorf("the working folder %s is the system's", p.Work)
		}
	}
	for _, dir := range p.Private {
		if within(p.Work, dir) {
			return fmt.Errorf("the working folder %s is the agent's", p.Work)
		}
	}
	return nil
}

// hidden returns what is hidden: real paths of what is there now.
func (p Plan) hidden() ([]string, error) {
	list := slices.Clone(p.Private)
	for _, home := range p.Homes {
		for _, name := range private {
			list = append(list, filepath.Join(home, name))
		}
	}
	list = realPaths(list)
	for _, secret := range p.Secrets {
		dir, err := p.folderOf(secret, list)
		if err != nil {
			return nil, err
		}
		list = append(list, dir...)
	}
	for _, path := range boundSockets() {
		if !p.isHidden(path, list) {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	var outermost []string // one in another that is hidden is not there any more
	for _, path := range list {
		if !p.isHidden(path, outermost) { // a folder comes before what is in it
			outermost = append(outermost, path)
		}
	}
	return outermost, nil
}

// folderOf returns the folder of a secret, unless it is hidden anyway.
func (p Plan) folderOf(secret string, list []string) ([]string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(secret))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be hidden: %w", secret, err)
	}
	if p.isHidden(dir, list) {
		return nil, nil
	}
	for _, shown := range append([]string{p.Work}, p.Homes...) {
		if within(shown, dir) {
			return nil, fmt.Errorf("%s cannot be hidden, because the command has to see its folder; move it to one for it alone", secret)
		}
	}
	return []string{dir}, nil
}

// isHidden reports whether path is in a folder of list, or in a fresh one and not shown again.
func (p Plan) isHidden(path string, list []string) bool {
	if slices.ContainsFunc(list, func(dir string) bool { return within(path, dir) }) {
		return true
	}
	return slices.ContainsFunc(p.Fresh, func(dir string) bool {
		shownAgain := func(top string) bool { return within(top, dir) && within(path, top) }
		return within(path, dir) && !shownAgain(p.Work) && !slices.ContainsFunc(p.Homes, shownAgain)
	})
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// realPaths returns the paths that are there, each once and without symbolic links.
func realPaths(paths []string) (real []string) {
	for _, path := range paths {
		if r, err := filepath.EvalSymlinks(path); err == nil && filepath.IsAbs(r) && !slices.Contains(real, r) {
			real = append(real, r)
		}
	}
	return real
}

// boundSockets returns the Unix sockets of other programs that have a path: one can be
// connected to on a read-only file system, too.
func boundSockets() (paths []string) {
	table, _ := os.ReadFile("/proc/net/unix")
	for line := range strings.Lines(string(table)) {
		i := strings.Index(line, " /")
		if i < 0 {
			continue
		}
		path := strings.TrimSuffix(line[i+1:], "\n")
		if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
			paths = append(paths, path)
		}
	}
	return realPaths(paths)
}
