package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/agent/sink"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/socket"
	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
)

// Sink is a file that holds a valid token or does not exist, for tools that can only read a
// file: [[sinks]] in config.toml. All your processes can read it. No file outlives the
// sign-in: a logout, a refusal, a reload without the sink and a stop of the daemon remove
// it, and empty it under other names that it may have. What cannot be removed or emptied is
// named by `kyc-agentd logout`, which then ends with 75, and by `kyc-agentd status`. Only a
// kill leaves a file, until the next start. If two daemons have the same file, the first one
// keeps it.
type Sink struct {
	// Environment is whose token it is. Required; it must be one of Environments.
	Environment EnvironmentName `toml:"environment"`
	// Format is how the token is written: one of kyc-token's formats, except "aws".
	// Default "token", which has no newline at its end in a file.
	Format SinkFormat `toml:"format"`
	// Path is the file: an absolute path, one that begins with ~/, or one in
	// $XDG_RUNTIME_DIR/kyc-agentd, which no backup sees. Default: there, <environment>.jwt
	// for "token" and <environment>.<format> for the others. Two sinks with one path, and
	// a path that the daemon itself uses, are errors. The folder must be yours, and only you
	// may write to it; if only the last folder is missing, it is made (0700), and removed
	// with the file when the sink is not configured any more or the daemon stops. Each folder
	// above it must belong to you or to root, and only a sticky one, such as /tmp, may be
	// writable by others. A folder that is not so is no error here: `kyc-agentd status` shows
	// it, and the daemon tries again. A file, link or device that is there already and that
	// the daemon did not write stays as it is. Variables such as $HOME or %t are not expanded.
	// (With the unit's drop-in 50-namespaces.conf a folder other than the default one has to
	// be in ReadWritePaths=.) For a container, mount a folder that you made, and not the file:
	// each new token is a new file, and a mount of the file keeps the old one.
	Path SinkPath `toml:"path"`
	// Mode is the file's mode: "0600" or "0400", or "0640" or "0440" if its group may read
	// it. Default "0600". Other modes are errors.
	Mode SinkMode `toml:"mode"`
}

// The kinds of a Sink's values.
type (
	// EnvironmentName is the NAME of an [environments.NAME].
	EnvironmentName = Text[nameKind]
	// SinkFormat is a format for a token file.
	SinkFormat = Text[sinkFormatKind]
	// SinkPath is the path of a token file.
	SinkPath = Text[sinkPathKind]
	// SinkMode is a file mode in octal.
	SinkMode = Text[sinkModeKind]
)

type nameKind struct{}

func (nameKind) check(s string) error {
	if !store.ValidKey(s) {
		return fmt.Errorf("bad environment name %q", s)
	}
	return nil
}

type sinkFormatKind struct{}

// awsFormat is not for files: it would put a secret access key on a disk.
const awsFormat = "aws"

func (sinkFormatKind) check(s string) error {
	formats := slices.DeleteFunc(format.Names(), func(name string) bool { return name == awsFormat })
	switch {
	case s == awsFormat:
		return fmt.Errorf("AWS credentials are never written to a file; configure the tool with: credential_process = kyc-token -f aws")
	case !slices.Contains(formats, s):
		return fmt.Errorf("unknown format %q; want one of: %s", s, strings.Join(formats, ", "))
	}
	return nil
}

type sinkPathKind struct{}

func (sinkPathKind) check(s string) error {
	relative := !isPath(s)
	switch {
	case strings.HasSuffix(s, "/") || filepath.Base(s) == "." || filepath.Base(s) == "..":
		return fmt.Errorf("bad path %q; want a file's, not a folder's", s)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("bad path %q; it has control characters", s)
	case slices.ContainsFunc(strings.Split(s, "/"), isVariable):
		return fmt.Errorf("bad path %q; variables are not expanded; write ~/%s", s, withoutVariable(filepath.Base(s)))
	case relative && (!filepath.IsLocal(s) || strings.HasPrefix(s, "~")):
		return fmt.Errorf("bad path %q; want an absolute one, one that begins with ~/, or one in $XDG_RUNTIME_DIR/kyc-agentd", s)
	}
	return nil
}

// isVariable reports whether a shell, systemd or cmd.exe would put something else in the place
// of a part of a path: $HOME, ${HOME}, %t, %TEMP%.
func isVariable(part string) bool {
	return len(part) > 1 && strings.Contains("$%", part[:1]) && (part[1] == '{' || isLetter(part[1]))
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// withoutVariable returns name, or another one if name is a variable itself.
func withoutVariable(name string) string {
	if isVariable(name) {
		return "kyc.jwt"
	}
	return name
}

type sinkModeKind struct{}

func (sinkModeKind) check(s string) error {
	mode, err := parseMode(s)
	if err != nil {
		return fmt.Errorf(`bad mode %q; want one such as "0600"`, s)
	}
	return sink.CheckMode(mode)
}

// parseMode reads an octal number. go-toml passes a number on as it is written, and in TOML
// an octal one begins with 0o.
func parseMode(s string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 12)
	return fs.FileMode(mode), err
}

// check checks what depends on c. n is the number of the sink, from 1.
func (s Sink) check(n int, c Config) error {
	if s.Environment.s == "" {
		return Errorf("sinks (no. %d): environment is missing; configured: %s", n, strings.Join(c.Names(), ", "))
	}
	if _, ok := c.Environments[s.Environment.s]; !ok {
		return Errorf("sinks (no. %d): no environment %q is configured; configured: %s",
			n, s.Environment.s, strings.Join(c.Names(), ", "))
	}
	return nil
}

// ResolveSinks returns the token files of c. configFile is --config's value, or empty, and socket
// the path of the agent's socket: no token file may take the place of one of these.
func (c Config) ResolveSinks(vars Environ, configFile, socket string) ([]sink.Sink, error) {
	owner := c.pathOwner(vars, configFile, socket)
	var sinks []sink.Sink
	for i, s := range c.Sinks {
		one, err := s.resolve(vars)
		if err != nil {
			return nil, Errorf("sinks (no. %d): %v", i+1, err)
		}
		if j := slices.IndexFunc(sinks, func(o sink.Sink) bool { return o.Path == one.Path }); j >= 0 {
			return nil, Errorf("sinks (no. %d): path %s is that of no. %d, too; give each its own", i+1, one.Path, j+1)
		}
		if what := owner(one.Path); what != "" {
			return nil, Errorf("sinks (no. %d): path %s is %s; name another", i+1, one.Path, what)
		}
		sinks = append(sinks, one)
	}
	return sinks, nil
}

func (s Sink) resolve(vars Environ) (sink.Sink, error) {
	out := sink.Sink{Environment: s.Environment.s, Format: cmp.Or(s.Format.s, "token"), Mode: s.fileMode()}
	ending := out.Format
	if ending == "token" {
		ending = "jwt"
	}
	path := cmp.Or(s.Path.s, out.Environment+"."+ending)
	if strings.HasPrefix(path, "~/") && !filepath.IsAbs(vars.Get("HOME")) {
		return sink.Sink{}, fmt.Errorf("path %s: HOME is not set", path)
	}
	if !isPath(path) {
		path = filepath.Join(runtimeFolder(vars), path)
	}
	out.Path = filepath.Clean(underHome(path, vars.Get("HOME")))
	return out, nil
}

func (s Sink) fileMode() fs.FileMode {
	mode, _ := parseMode(cmp.Or(s.Mode.s, "0600")) // checked before
	return mode
}

// describe writes every key of s.
func (s Sink) describe() string {
	return fmt.Sprintf("format %s, path %s, mode %#o", cmp.Or(s.Format.s, "token"), cmp.Or(s.Path.s, "default"), s.fileMode())
}

// runtimeFolder returns the folder of the default socket.
func runtimeFolder(vars Environ) string {
	return filepath.Dir(socket.Path(func(name string) string {
		if name == "KYC_AGENT_SOCK" {
			return ""
		}
		return vars.Get(name)
	}))
}

// pathOwner returns a function that says what the daemon itself has at a path, or "": a
// token file replaces what is there.
func (c Config) pathOwner(vars Environ, configFile, socket string) func(path string) string {
	home := vars.Get("HOME")
	owners := map[string]string{
		filepath.Clean(cmp.Or(configFile, vars.configPath("config.toml"))): "the configuration",
		filepath.Clean(file.DefaultKeyFile(vars.Get)):                      "the file store's key",
		filepath.Clean(underHome(c.StoreKeyFile.s, home)):                  "the file store's key",
	}
	for _, e := range c.Environments {
		owners[filepath.Clean(underHome(e.ClientSecretFile.s, home))] = "a client_secret_file"
		owners[filepath.Clean(underHome(e.PasswordFile.s, home))] = "a password_file"
	}
	sockets, records := filepath.Dir(socket), file.DefaultDir(vars.Get)
	return func(path string) string {
		switch dir, name := filepath.Split(path); filepath.Clean(dir) {
		case sockets:
			if strings.HasSuffix(strings.TrimSuffix(name, ".lock"), ".sock") || path == socket || path == socket+".lock" {
				return "the daemon's socket or its lock"
			}
		case filepath.Join(sockets, "sockets"), filepath.Join(sockets, "sockets", filepath.Base(dir)):
			return "in a folder of the daemon's sockets"
		case records:
			return "in the file store's folder"
		}
		return owners[path]
	}
}
