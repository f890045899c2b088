package auto_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/auto"
	"github.com/legaltalent/kyc-agent/store/file"
	"github.com/legaltalent/kyc-agent/store/keyring"
)

// answering is the command of a keyring helper that always answers code.
func answering(code string) []string {
	return keyring.SelfCommand("fake-answer", `{"code":"`+code+`"}`)
}

func newKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.key")
	if _, err := file.Keygen(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// home looks up variables in an environment that has only HOME, an empty folder.
func home(t *testing.T) func(string) string {
	t.Helper()
	dir := t.TempDir()
	return func(name string) string { return map[string]string{"HOME": dir}[name] }
}

func openStore(t *testing.T, o auto.Options) store.Store {
	t.Helper()
	st, err := auto.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auto.Close(st) })
	return st
}

func TestChoice(t *testing.T) {
	key := newKey(t)
	for _, c := range []struct {
		keyring string // the answer of its helper
		keyFile string
		kind    string
		advice  string
	}{
		{"ok", "", "keyring", ""},
		{"ok", key, "keyring", ""},
		{"locked", key, "keyring", "the keyring is locked; unlock it"},
		{"dismissed", "", "keyring", "the keyring is still locked"},
		{"no_service", key, "file", ""},
		{"no_bus", key, "file", ""},
		{"no_collection", key, "file", ""},
		{"silent", key, "keyring", "keyring unavailable: no answer within 1m0s"}, // sign-ins may be in it
		{"silent", "", "keyring", "keyring unavailable: no answer within 1m0s"},
		{"failed", key, "file", ""},
		{"rubbish", key, "file", ""},
		{"no_service", "", "memory", `sign-ins end with the daemon: keyring unavailable: no secret service on the session bus; start gnome-keyring, KWallet or KeePassXC, or keep sign-ins in files: run kyc-agentd keygen, set store = "file" and, when kyc-agentd status shows no unsaved sign-in, restart kyc-agentd`},
		{"no_bus", "", "memory", "keyring unavailable: no session bus"},
		{"rubbish", "", "memory", "keyring unavailable: its helper's answer is invalid"},
	} {
		name := c.keyring + " " + c.kind
		for _, kind := range []string{auto.Auto, ""} {
			st := openStore(t, auto.Options{
				Kind: kind, KeyFile: c.keyFile, Getenv: home(t),
				KeyringCommand: answering(c.keyring), KeyringTimeout: time.Minute,
			})
			info := store.Describe(st)
			if info.Kind != c.kind || info.Lasting != (c.kind != "memory") {
				t.Errorf("%s: chose %+v", name, info)
			}
			if !strings.Contains(info.Advice, c.advice) || c.advice == "" && info.Advice != "" || strings.Contains(info.Advice, "\n") {
				t.Errorf("%s: advises %q, want %q", name, info.Advice, c.advice)
			}
		}
	}
}

func TestChoiceIsBounded(t *testing.T) {
	start := time.Now()
	st := openStore(t, auto.Options{
		KeyFile: newKey(t), Getenv: home(t),
		KeyringCommand: keyring.SelfCommand("fake-hang"), KeyringTimeout: 300 * time.Millisecond,
	})
	if kind := store.Describe(st).Kind; kind != "keyring" {
		t.Errorf("chose %s", kind)
	}
	if took := time.Since(start); took < 300*time.Millisecond || took > time.Minute {
		t.Errorf("took %v, want slightly more than 300ms", took)
	}
}

func TestChoiceIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	st, err := auto.Open(ctx, auto.Options{Getenv: home(t), KeyringCommand: answering("ok")})
	if !errors.Is(err, context.Canceled) || st != nil {
		t.Errorf("Choose = %v, %v", st, err)
	}
}

// A person who made a key wants sign-ins to be kept, so the daemon must not fall back
// on memory.
func TestChoiceWithAnUnusableKey(t *testing.T) {
	wide := newKey(t)
	if err := os.Chmod(wide, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ keyFile, want string }{
		{wide, "is open to others (mode 0644); run: chmod 600 " + wide},
		{filepath.Join(t.TempDir(), "missing"), "no such file or directory; make one: kyc-agentd keygen"},
	} {
		st, err := auto.Open(t.Context(), auto.Options{KeyFile: c.keyFile, Getenv: home(t), KeyringCommand: answering("no_bus")})
		if err == nil || !strings.Contains(err.Error(), c.want) || st != nil {
			t.Errorf("Choose = %v, %v; want %q", st, err, c.want)
		}
	}
}

func TestNamedKinds(t *testing.T) {
	key := newKey(t)
	for kind, detail := range map[string]string{"keyring": "Secret Service", "file": "kyc-agent", "memory": ""} {
		st := openStore(t, auto.Options{Kind: kind, KeyFile: key, Getenv: home(t), KeyringCommand: []string{"/nonexistent"}})
		if info := store.Describe(st); info.Kind != kind || !strings.HasSuffix(info.Detail, detail) {
			t.Errorf("%s: opened %+v", kind, info)
		}
	}
}

func TestNamedKindsFail(t *testing.T) {
	for _, c := range []struct {
		o    auto.Options
		want string
	}{
		{auto.Options{Kind: "keychain"}, `store = "keychain" is unknown; set it to auto, keyring, file or memory`},
		{auto.Options{Kind: "file"}, `store = "file": no key for the file store; run: kyc-agentd keygen`},
		{auto.Options{Kind: "file", KeyFile: newKey(t), Dir: "/dev/null"}, "file store: cannot make the folder /dev/null: not a directory"},
	} {
		if c.o.Getenv == nil {
			c.o.Getenv = home(t)
		}
		st, err := auto.Open(t.Context(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || st != nil {
			t.Errorf("Open(%+v) = %v, %v; want %q", c.o.Kind, st, err, c.want)
		}
	}
}

func TestCloseFreesTheFolder(t *testing.T) {
	o := auto.Options{Kind: "file", KeyFile: newKey(t), Dir: filepath.Join(t.TempDir(), "state")}
	st := openStore(t, o)
	if _, err := auto.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in use by another kyc-agentd") {
		t.Errorf("second Open: %v", err)
	}
	if err := auto.Close(st); err != nil {
		t.Fatal(err)
	}
	openStore(t, o)
	if err := auto.Close(openStore(t, auto.Options{Kind: "memory"})); err != nil {
		t.Errorf("Close of a store in memory: %v", err)
	}
}

func TestChoiceIsLogged(t *testing.T) {
	var log bytes.Buffer
	openStore(t, auto.Options{
		Getenv: home(t), KeyringCommand: answering("no_bus"), KeyringTimeout: time.Minute,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if !strings.Contains(log.String(), `msg="store chosen" kind=memory`) || !strings.Contains(log.String(), "no session bus") {
		t.Errorf("log: %s", log.String())
	}
}
