//go:build unix

package file_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/store/file"
)

func TestKeygen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "kyc-agent", "store.key")
	public, err := file.Keygen(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := stat(t, path).Mode().Perm(); got != 0o600 {
		t.Errorf("the key has mode %04o, want 0600", got)
	}
	if got := stat(t, filepath.Dir(path)).Mode().Perm(); got != 0o700 {
		t.Errorf("its folder has mode %04o, want 0700", got)
	}
	if !strings.HasPrefix(public, "age1") || !bytes.Contains(readFile(t, path), []byte("# public key: "+public+"\n")) {
		t.Errorf("the key file does not name the public key %q", public)
	}
	ids, from, err := file.FindIdentity(getenv(nil), path)
	if err != nil || len(ids) != 1 || from != path {
		t.Fatalf("FindIdentity = %d identities, %q, %v", len(ids), from, err)
	}
	s := open(t, newPrivateDir(t), ids...)
	put(t, s, "prod", []byte("value"))
	want(t, s, "prod", "value")
}

func TestKeygenNeverOverwrites(t *testing.T) {
	for _, content := range []string{"AGE-SECRET-KEY-1…", ""} {
		path := filepath.Join(t.TempDir(), "store.key")
		writeFile(t, path, []byte(content), 0o600)
		_, err := file.Keygen(path)
		wantError(t, err, "store.key already exists")
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v does not wrap fs.ErrExist", err)
		}
		if got := string(readFile(t, path)); got != content {
			t.Errorf("the old key was changed to %q", got)
		}
	}
	link := filepath.Join(t.TempDir(), "store.key")
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	_, err := file.Keygen(link)
	wantError(t, err, "already exists")
}

func TestKeygenFails(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	writeFile(t, plain, nil, 0o600)
	for path, want := range map[string]string{
		"":                              "no path for the key; give one, or set HOME",
		filepath.Join(plain, "the.key"): "cannot write the key " + plain + "/the.key: not a directory",
	} {
		_, err := file.Keygen(path)
		wantError(t, err, want)
	}
}

func TestFindIdentity(t *testing.T) {
	creds, keyFile := t.TempDir(), filepath.Join(t.TempDir(), "store.key")
	credential := filepath.Join(creds, "kyc-agentd.key")
	for _, path := range []string{credential, keyFile} {
		if _, err := file.Keygen(path); err != nil {
			t.Fatal(err)
		}
	}
	chmod(t, credential, 0o440) // the mode of a credential to which systemd grants access by an ACL
	withCreds := getenv(map[string]string{"CREDENTIALS_DIRECTORY": creds})
	otherCreds := getenv(map[string]string{"CREDENTIALS_DIRECTORY": t.TempDir()})
	for _, c := range []struct {
		name    string
		getenv  func(string) string
		keyFile string
		want    string
	}{
		{"credential alone", withCreds, "", credential},
		{"credential before key file", withCreds, keyFile, credential},
		{"key file alone", getenv(nil), keyFile, keyFile},
		{"credentials without ours", otherCreds, keyFile, keyFile},
	} {
		ids, path, err := file.FindIdentity(c.getenv, c.keyFile)
		if err != nil || path != c.want || len(ids) != 1 {
			t.Errorf("%s: %d identities, %q, %v; want %q", c.name, len(ids), path, err, c.want)
		}
	}
	for name, getenv := range map[string]func(string) string{"nothing": getenv(nil), "other credentials": otherCreds} {
		if _, _, err := file.FindIdentity(getenv, ""); !errors.Is(err, file.ErrNoKey) {
			t.Errorf("%s: %v, want ErrNoKey", name, err)
		}
	}
}

// Editors of Windows put a byte order mark before the first line, and nobody sees it.
func TestKeyWithAByteOrderMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.key")
	if _, err := file.Keygen(path); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, append([]byte("\ufeff"), readFile(t, path)...), 0o600)
	if ids, _, err := file.FindIdentity(func(string) string { return "" }, path); err != nil || len(ids) != 1 {
		t.Errorf("%d identities, %v", len(ids), err)
	}
}

func TestUnusableKeys(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.key")
	if _, err := file.Keygen(good); err != nil {
		t.Fatal(err)
	}
	key := readFile(t, good)
	regular := func(data []byte, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { writeFile(t, path, data, mode) }
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"missing", func(*testing.T, string) {}, "no such file or directory; make one: kyc-agentd keygen"},
		{"open to others", regular(key, 0o644), "is open to others (mode 0644); run: chmod 600 "},
		{"open to the group", regular(key, 0o640), "run: chmod 600 "},
		{"empty", regular(nil, 0o600), "is empty; make a key elsewhere: kyc-agentd keygen"},
		{"UTF-16", regular([]byte("\xff\xfeA\x00G\x00"), 0o600), "is UTF-16, or no text at all; write it as UTF-8"},
		{"comments only", regular([]byte("# a key\n"), 0o600), "holds no age identity"},
		{"cut short", regular(key[:len(key)-3], 0o600), "holds no age identity"},
		{"a public key", regular([]byte("age1qqqqqq\n"), 0o600), "holds no age identity"},
		{"too large", regular(bytes.Repeat([]byte("#\n"), 1<<20), 0o600), "above the limit"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
		{"a named pipe", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.key")
			c.make(t, path)
			_, _, err := file.FindIdentity(getenv(nil), path)
			wantError(t, err, c.want)
			if errors.Is(err, file.ErrNoKey) {
				t.Error("a key that was given but cannot be used is reported as missing")
			}
			if strings.Contains(err.Error(), "KEY-PQ-1") || strings.Contains(err.Error(), "qqqqqq") {
				t.Errorf("the message quotes the key: %v", err)
			}
		})
	}
	creds := t.TempDir()
	writeFile(t, filepath.Join(creds, "kyc-agentd.key"), key, 0o444)
	_, _, err := file.FindIdentity(getenv(map[string]string{"CREDENTIALS_DIRECTORY": creds}), good)
	wantError(t, err, "is open to everybody (mode 0444); give the key by LoadCredential=")
}

func TestDefaultKeyFile(t *testing.T) {
	for _, c := range []struct{ xdg, home, want string }{
		{"/config", "/home/ana", "/config/kyc-agent/store.key"},
		{"", "/home/ana", "/home/ana/.config/kyc-agent/store.key"},
		{"", "", ""},
	} {
		if got := file.DefaultKeyFile(getenv(map[string]string{"XDG_CONFIG_HOME": c.xdg, "HOME": c.home})); got != c.want {
			t.Errorf("DefaultKeyFile(%q, %q) = %q, want %q", c.xdg, c.home, got, c.want)
		}
	}
}
