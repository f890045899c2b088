package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/shellquote"
)

// A secretFile is a file that holds one secret in one line. An error of read says what to
// type, and never what is in the file.
type secretFile struct {
	path string
	// credential says that the file is from systemd (`LoadCredential=`).
	credential bool
}

// MaxLine bounds a secret and a typed answer, in bytes. Cognito's passwords have at
// most 256 characters.
const MaxLine = 4096

// findSecretFile returns the file that the configuration names, or the systemd credential if
// there is one, or a secretFile without a path.
func findSecretFile(named SecretPath, credential string, vars Environ) secretFile {
	if named.s != "" {
		return secretFile{path: underHome(named.s, vars.Get("HOME"))}
	}
	dir := vars.Get("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return secretFile{}
	}
	path := filepath.Join(dir, credential)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return secretFile{}
	}
	return secretFile{path: path, credential: true}
}

// ReadSecretFile returns the secret in the file at path, which must be the user's alone.
func ReadSecretFile(path string) (agent.Secret, error) {
	secret, _, err := secretFile{path: path}.read()
	return secret, err
}

// read returns the secret and a stamp, which changes whenever the file changes. The stamp
// is made of the file's metadata: it says nothing about the secret, it is the same after a
// restart of the daemon, and `touch` is enough to change it.
func (f secretFile) read() (secret agent.Secret, stamp string, err error) {
	// Without O_NONBLOCK, opening a named pipe would wait for a writer.
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return agent.Secret{}, "", fmt.Errorf("cannot read %s: %s%s", f.path, PlainCause(err), f.hint(err))
	}
	defer file.Close()
	info, err := file.Stat() // before reading, so that a later change has another stamp
	if err == nil {
		err = f.check(info)
	}
	if err != nil {
		return agent.Secret{}, "", err
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxLine+3)) // and CR LF
	if err != nil {
		return agent.Secret{}, "", fmt.Errorf("cannot read %s: %s", f.path, PlainCause(err))
	}
	if what, filter := WrongEncoding(string(data)); what != "" {
		return agent.Secret{}, "", fmt.Errorf("%s %s; %s", f.path, what, f.convert(filter))
	}
	line, err := onlyLine(string(data))
	if err != nil {
		return agent.Secret{}, "", fmt.Errorf("%s %w", f.path, err)
	}
	return agent.NewSecret(line), stampOf(info), nil
}

// label returns what the file is to a person: key, by which the configuration names it, or a
// credential.
func (f secretFile) label(key string) string {
	if f.credential {
		return "the systemd credential " + filepath.Base(f.path)
	}
	return key
}

func (f secretFile) hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; make it, readable only by its owner (mode 0600)"
	case errors.Is(err, fs.ErrPermission):
		return "; run: chown " + fmt.Sprint(os.Getuid()) + " " + shellquote.Quote(f.path)
	}
	return ""
}

// convert says how to pass the file through filter, without a moment in which others can
// read the result.
func (f secretFile) convert(filter string) string {
	if f.credential {
		return "pass the file that it was made of through: " + filter
	}
	old, converted := shellquote.Quote(f.path), shellquote.Quote(f.path+".new")
	return "run: (umask 077 && " + filter + " <" + old + " >" + converted + " && mv " + converted + " " + old + ")"
}

// check refuses a file that others can read. A credential may belong to root, and systemd
// may grant access to it by an ACL, whose mask stat shows instead of the group's bits.
func (f secretFile) check(info fs.FileInfo) error {
	stat, _ := info.Sys().(*syscall.Stat_t)
	perm := info.Mode().Perm()
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", f.path)
	case f.credential && perm&0o007 != 0:
		return fmt.Errorf("%s is open to everybody (mode %04o); pass it with LoadCredential=", f.path, perm)
	case f.credential:
		return nil
	case stat != nil && int(stat.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to uid %d; run: chown %d %s", f.path, stat.Uid, os.Getuid(), shellquote.Quote(f.path))
	case perm&0o077 != 0:
		return fmt.Errorf("%s has mode %04o, but only its owner may read it; run: chmod 600 %s", f.path, perm, shellquote.Quote(f.path))
	}
	return nil
}

// onlyLine returns the only line of a file, without its end.
func onlyLine(data string) (string, error) {
	line, rest, _ := strings.Cut(data, "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case len(line) > MaxLine:
		return "", fmt.Errorf("is longer than %d bytes", MaxLine)
	case rest != "":
		return "", errors.New("has more than one line; it may only hold the secret")
	case line == "":
		return "", errors.New("is empty; write the secret there, in one line")
	}
	return line, nil
}

func stampOf(info fs.FileInfo) string {
	text := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprint(" ", stat.Dev, stat.Ino)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
