package auto_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/file"
)

// bare are the options on a machine without keyring and key.
func bare(t *testing.T) auto.Options {
	t.Helper()
	getenv := home(t)
	return auto.Options{
		Getenv: getenv, KeyringCommand: answering("no_bus"), KeyringTimeout: time.Minute,
		Dir: filepath.Join(getenv("HOME"), "state"), NewKeyFile: filepath.Join(getenv("HOME"), "store.key"),
	}
}

// withKey makes the key and gives it to o.
func withKey(t *testing.T, o auto.Options) auto.Options {
	t.Helper()
	if _, err := file.Keygen(o.NewKeyFile); err != nil {
		t.Fatal(err)
	}
	o.KeyFile = o.NewKeyFile
	return o
}

func reopen(t *testing.T, st store.Store, o auto.Options, found bool, want string) {
	t.Helper()
	got, err := auto.Reopen(t.Context(), st, o)
	if got != found || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Fatalf("Reopen = %v, %v; want %v, %q", got, err, found, want)
	}
}

// Everything in memory is in the files after a Reopen, under each of its keys, and a daemon
// that is killed then and started again finds it.
func TestReopenMovesTheMemoryIntoFiles(t *testing.T) {
	for _, kind := range []string{auto.Auto, auto.Memory} {
		o := bare(t)
		o.Kind = kind
		st := openStore(t, o)
		put(t, st, "prod", "1")
		put(t, st, "prod--refused", "stamp")
		o.Kind = auto.Auto
		reopen(t, st, o, false, "")
		want(t, st, "prod", "1")
		o = withKey(t, o)
		if advice := store.Describe(st).Advice; kind == auto.Auto && !strings.HasSuffix(advice, "to use it, run: kyc-agentd reload") {
			t.Errorf("with a key it advises %q", advice)
		}
		reopen(t, st, o, true, "")
		wantInfo(t, st, store.Info{Kind: "file", Detail: o.Dir, Lasting: true, Key: o.KeyFile})
		want(t, st, "prod", "1")
		put(t, st, "staging", "2")
		wantKeys(t, st, "prod prod--refused staging")
		reopen(t, st, o, false, "")
		if err := auto.Close(st); err != nil {
			t.Fatal(err)
		}
		after := openStore(t, o)
		want(t, after, "prod", "1")
		want(t, after, "prod--refused", "stamp")
		want(t, after, "staging", "2")
	}
}

// Whatever is wrong with the key or the folder, the memory keeps what it has, and the next
// Reopen moves it.
func TestReopenFails(t *testing.T) {
	o := bare(t)
	st := openStore(t, o)
	put(t, st, "prod", "1")
	asked := o
	asked.Kind = auto.File
	reopen(t, st, asked, false, "no key for the file store")
	o = withKey(t, o)
	for _, c := range []struct {
		path string
		mode fs.FileMode
		want string
	}{{o.KeyFile, 0o644, "chmod 600"}, {o.Dir, 0o755, "chmod 700"}} {
		if err := os.Mkdir(o.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		before, err := os.Stat(c.path)
		if err == nil {
			err = os.Chmod(c.path, c.mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		reopen(t, st, o, false, c.want)
		want(t, st, "prod", "1")
		put(t, st, "prod", "1")
		if err := os.Chmod(c.path, before.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	reopen(t, st, o, true, "")
	want(t, st, "prod", "1")
}

// A value that the files do not take stays in memory, as new as it is, and follows later.
func TestReopenKeepsWhatCannotBeMoved(t *testing.T) {
	o := withKey(t, bare(t))
	st := openStore(t, auto.Options{Kind: auto.Memory})
	put(t, st, "prod", "1")
	blocked := filepath.Join(o.Dir, "prod.age")
	if err := os.MkdirAll(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	reopen(t, st, o, true, "prod.age")
	want(t, st, "prod", "1")
	if info := store.Describe(st); info.Lasting {
		t.Errorf("Describe = %+v, but a sign-in is in memory only", info)
	}
	if err := st.Put(t.Context(), "prod", []byte("2")); err == nil {
		t.Error("Put succeeded over a folder")
	}
	want(t, st, "prod", "2")
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	put(t, st, "staging", "1")
	if info := store.Describe(st); !info.Lasting {
		t.Errorf("Describe = %+v after the move", info)
	}
	want(t, st, "prod", "2")
}
