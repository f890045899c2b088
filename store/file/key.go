package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/internal/durable"
)

// credentialName is the name of the credential by which systemd passes the key to a
// unit (`LoadCredential=kyc-agentd.key:…`).
const credentialName = "kyc-agentd.key"

// ErrNoKey means that no key was given: neither a credential nor a key file.
var ErrNoKey = errors.New("no key for the file store; run: kyc-agentd keygen")

// DefaultKeyFile is where `kyc-agentd keygen` puts a key unless a path is given:
// $XDG_CONFIG_HOME/kyc-agent/store.key, else ~/.config/kyc-agent/store.key.
// It is empty if neither XDG_CONFIG_HOME nor HOME is an absolute path.
func DefaultKeyFile(getenv func(string) string) string {
	dir := xdg(getenv, "XDG_CONFIG_HOME", ".config")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "store.key")
}

// FindIdentity loads the store's age identities and returns them with the path of
// their file: the credential $CREDENTIALS_DIRECTORY/kyc-agentd.key if systemd passed
// one, else keyFile. Without either the error is ErrNoKey; for a key that exists but
// cannot be used it is another one, which says what to type.
func FindIdentity(getenv func(string) string, keyFile string) (ids []age.Identity, path string, err error) {
	if dir := getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		path = filepath.Join(dir, credentialName)
		ids, err = loadKey(path, checkCredential)
		if !errors.Is(err, fs.ErrNotExist) {
			return ids, path, err
		}
	}
	if keyFile == "" {
		return nil, "", ErrNoKey
	}
	ids, err = loadKey(keyFile, checkKeyFile)
	return ids, keyFile, err
}

func checkKeyFile(info fs.FileInfo, path string) error { return checkPrivate(info, path, 0o600) }

// checkCredential ignores the group bits: systemd may grant access by an ACL, and stat
// then shows the ACL's mask in their place.
func checkCredential(info fs.FileInfo, path string) error {
	if perm := info.Mode().Perm(); hasModes && perm&0o007 != 0 {
		return refuse("%s is open to everybody (mode %04o); give the key by LoadCredential=", path, perm)
	}
	return nil
}

func loadKey(path string, check func(fs.FileInfo, string) error) ([]age.Identity, error) {
	var ids []age.Identity
	err := newLane(path, patience).run(context.Background(), func() (err error) {
		ids, err = readKey(path, check)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func readKey(path string, check func(fs.FileInfo, string) error) ([]age.Identity, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, explainKey(err, path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, explainKey(err, path)
	}
	for _, c := range []func(fs.FileInfo, string) error{checkRegular, check} {
		if err := c(info, path); err != nil {
			return nil, err
		}
	}
	data, err := readAtMost(f, path)
	if err != nil {
		return nil, explainKey(err, path)
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, refuse("%s is UTF-16, or no text at all; write it as UTF-8", path)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, refuse("%s is empty; make a key elsewhere: kyc-agentd keygen PATH", path)
	}
	// Editors of Windows put a byte order mark before the first line.
	ids, err := age.ParseIdentities(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if err != nil {
		// age's own message is left out, because it may quote the line.
		return nil, refuse("%s holds no age identity (lines that begin with AGE-SECRET-KEY-); make one elsewhere: kyc-agentd keygen", path)
	}
	return ids, nil
}

func explainKey(err error, path string) error {
	if isExplained(err) {
		return err
	}
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	}
	hint := ""
	if errors.Is(cause, fs.ErrNotExist) {
		hint = "; make one: kyc-agentd keygen"
	}
	return fmt.Errorf("cannot read the store's key %s: %w%s", path, cause, hint)
}

// Keygen makes an identity, writes it to path with mode 0600 and returns the public
// key. The file is durable when Keygen returns; an existing one is never overwritten.
// The folder is made with mode 0700 if there is none.
//
// The identity is a hybrid one (X25519 and ML-KEM-768), as age recommends.
func Keygen(path string) (publicKey string, err error) {
	if path == "" {
		return "", errors.New("no path for the key; give one, or set HOME")
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return "", explainKeygen(err, path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", explainKeygen(err, path)
	}
	defer root.Close()
	publicKey = id.Recipient().String()
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().Format(time.RFC3339), publicKey, id)
	if err := writeKey(root, filepath.Base(path), []byte(text)); err != nil {
		return "", explainKeygen(err, path)
	}
	return publicKey, nil
}

// writeKey writes a new file, which is durable when writeKey returns nil. After an
// error there is no file.
func writeKey(root *os.Root, name string, data []byte) error {
	if err := durable.Create(root, name, data, 0o600); err != nil {
		return err
	}
	err := durable.SyncDir(root)
	if err != nil {
		_ = root.Remove(name)
	}
	return err
}

// explainKeygen leaves the next step to the caller, who knows where path comes from, unless
// the disk is full.
func explainKeygen(err error, path string) error {
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	}
	if errors.Is(cause, fs.ErrExist) {
		return fmt.Errorf("%s already exists (%w), and a key is never overwritten; use it, or give another path", path, fs.ErrExist)
	}
	step := ""
	if isFull(cause) {
		step = nextStep(cause, path)
	}
	return fmt.Errorf("cannot write the key %s: %w%s", path, cause, step)
}
