package lock_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/internal/bootclock"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// at returns a clock that shows noon and more, that long after the start of a boot.
func at(more time.Duration, boot string, up time.Duration) func() bootclock.Mark {
	return func() bootclock.Mark { return bootclock.Mark{Wall: noon.Add(more), Boot: boot, Up: up} }
}

// A lock --for is neither shorter nor longer if the clock is set while it holds, or over a restart.
func TestClockIsSetDuringALock(t *testing.T) {
	const h, month = time.Hour, 30 * 24 * time.Hour
	for name, test := range map[string]struct {
		then func() bootclock.Mark
		left time.Duration
	}{
		"not set":                {at(3*h, "a", 4*h), 5 * h},
		"set back":               {at(3*h-month, "a", 4*h), 5 * h},
		"set forward":            {at(3*h+month, "a", 4*h), 5 * h},
		"another boot":           {at(3*h, "b", 0), 5 * h},
		"set back over a boot":   {at(-month, "b", 0), 8 * h},
		"over, and set back":     {at(-month, "a", 10*h), -h},
		"over after a long boot": {at(9*h, "b", 0), -h},
	} {
		dir := t.TempDir()
		f := lock.New(dir)
		f.Now = at(0, "a", h)
		if err := f.Lock("command", 8*h); err != nil {
			t.Fatal(err)
		}
		for _, f := range []*lock.Folder{f, lock.New(dir)} { // and after a restart
			f.Now = test.then
			if left := f.State().Until.Sub(test.then().Wall); left != test.left {
				t.Errorf("%s: %s are left, want %s", name, left, test.left)
			}
		}
	}
}

// A clock that was set back after wrong tries does not keep the owner out.
func TestClockIsSetBackAfterWrongTries(t *testing.T) {
	for _, boot := range []string{"test", "another"} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			u, _ := turns(t, dir)
			for i := range 12 {
				_, _ = u.Do(t.Context(), lock.Try{Passphrase: fmt.Sprint(i), Session: "1"})
			}
			u, _ = turns(t, dir)
			u.Folder.Now = func() bootclock.Mark {
				now := time.Now()
				return bootclock.Mark{Wall: now.Add(-time.Hour), Boot: boot, Up: time.Duration(now.UnixNano())}
			}
			began := time.Now()
			if _, err := u.Do(t.Context(), lock.Try{Passphrase: "right", Session: "owner", Terminal: true}); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d > time.Minute {
				t.Errorf("in boot %s the owner waited %s", boot, d)
			}
		})
	}
}

// Two agents on one folder: what one writes does not undo what the other wrote.
func TestTwoAgents(t *testing.T) {
	dir := t.TempDir()
	first, second := lock.New(dir), lock.New(dir)
	own, other := newIdentity(t), newIdentity(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(first.SetPassphrase(own.Recipient().String(), []byte("sealed")))
	if err := second.SetPassphrase(other.Recipient().String(), []byte("sealed, too")); !errors.Is(err, lock.ErrOtherPassphrase) {
		t.Errorf("another passphrase instead of the first: %v", err)
	}
	if !second.State().Passphrase || string(second.Sealed()) != "sealed" {
		t.Error("the second does not know the passphrase of the first")
	}
	must(first.Lock("command", time.Hour))
	wrong := &lock.Turns{Folder: second, Check: func(string) (*age.X25519Identity, error) { return nil, lock.ErrWrongPassphrase }}
	_, _ = wrong.Do(t.Context(), lock.Try{Passphrase: "x"})
	if second.State().Locked {
		t.Error("the second says that it is locked, with its sign-ins in memory")
	}
	third := lock.New(dir)
	if st := third.State(); !st.Locked || st.Until.IsZero() || !st.Passphrase {
		t.Errorf("a wrong try at the second has ended the lock of the first: %+v", st)
	}
}

// TestTwoProcesses has two real processes count wrong tries in one folder.
func TestTwoProcesses(t *testing.T) {
	const each = 40
	if dir := os.Getenv("LOCK_TEST_FOLDER"); dir != "" {
		begun, _ := strconv.ParseInt(os.Getenv("LOCK_TEST_BEGUN"), 10, 64)
		u := &lock.Turns{Folder: lock.New(dir), Check: func(string) (*age.X25519Identity, error) { return nil, lock.ErrWrongPassphrase }}
		u.Folder.Now = func() bootclock.Mark { // so fast that no pause is felt
			return bootclock.Mark{Wall: noon, Boot: "test", Up: time.Duration(time.Now().UnixNano()-begun) * 10_000_000}
		}
		for range each {
			_, _ = u.Do(t.Context(), lock.Try{Passphrase: "x"})
		}
		return
	}
	dir := t.TempDir()
	begun := time.Now().UnixNano()
	var processes sync.WaitGroup
	for range 2 {
		processes.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTwoProcesses$")
			cmd.Env = append(os.Environ(), "LOCK_TEST_FOLDER="+dir, fmt.Sprintf("LOCK_TEST_BEGUN=%d", begun))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	processes.Wait()
	data, err := os.ReadFile(filepath.Join(dir, lock.FileName))
	if want := fmt.Sprintf(`"wrong":%d,`, 2*each); err != nil || !strings.Contains(string(data), want) {
		t.Errorf("%s, %v; want %s", data, err, want)
	}
}
