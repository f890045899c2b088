package approval

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/internal/bootclock"
	"github.com/legaltalent/kyc-agent/internal/durable"
)

var nightly = peer.Unit{Name: "nightly.service", User: true}

// A standing grant holds as long as a person said, if the clock is set while no agent runs.
func TestClockIsSetOverARestart(t *testing.T) {
	const h, month = time.Hour, 30 * 24 * time.Hour
	boot := bootclock.Now()
	for name, test := range map[string]struct {
		wall time.Duration // of the file, less the clock now
		boot string
		up   time.Duration
		left time.Duration
	}{
		"not set":                   {-h, boot.Boot, boot.Up - h, 7 * h},
		"set back in one boot":      {month, boot.Boot, boot.Up - h, 7 * h},
		"set forward in one boot":   {-month, boot.Boot, boot.Up - h, 7 * h},
		"over, and set back":        {month, boot.Boot, boot.Up - 9*h, 0},
		"another boot":              {-h, "another", 0, 7 * h},
		"over in another boot":      {-9 * h, "another", 0, 0},
		"set back over a boot":      {month, "another", 0, 8 * h},
		"of an older version":       {-h, "", 0, 7 * h},
		"of an older version, over": {-9 * h, "", 0, 0},
	} {
		dir := t.TempDir()
		if _, err := New(Options{Dir: dir}).ApproveUnit(Standing{Unit: nightly, Environment: "prod", For: 8 * h}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fileName)
		var in file
		data, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(data, &in) != nil {
			t.Fatal(err)
		}
		written := boot.Wall.Add(test.wall)
		in.Seen, in.Grants[0].GrantedAt, in.Grants[0].EndsAt = bootclock.Seen{}, written, written.Add(8*h)
		if test.boot != "" {
			in.Seen.Mark = bootclock.Mark{Wall: written, Boot: test.boot, Up: test.up}
		}
		data, _ = json.Marshal(in)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		a := New(Options{Dir: dir})
		switch granted := a.List().Granted; {
		case test.left == 0:
			refused(t, a, inUnit(nightly), token, name)
		case len(granted) != 1 || time.Until(granted[0].EndsAt).Round(time.Minute) != test.left:
			t.Errorf("%s: %+v, want one for %s", name, granted, test.left)
		default:
			allowed(t, a, inUnit(nightly), token, name)
		}
	}
}

// A grant of a session, too, ends after its time and not by the clock.
func TestClockIsSetWhileAGrantHolds(t *testing.T) {
	a, p := New(Options{}), terminal(100)
	approve(t, a, ask(t, a, p, token), Terms{For: time.Hour})
	a.seen.Wall = a.seen.Wall.Add(-30 * 24 * time.Hour) // the clock is set forward
	allowed(t, a, p, token, "set forward")
	a.seen.Up -= 2 * time.Hour // the machine slept, and the clock was set back
	a.seen.Wall = a.seen.Wall.Add(60 * 24 * time.Hour)
	refused(t, a, p, token, "two hours later")
}

// Two real processes grant at once: none of it is lost.
func TestTwoProcessesGrant(t *testing.T) {
	const each = 25
	grant := func(dir, prefix string) error {
		a := New(Options{Dir: dir})
		for i := range each {
			if _, err := a.ApproveUnit(Standing{Unit: peer.Unit{Name: fmt.Sprintf("%s%d.service", prefix, i), User: true}, Environment: "prod"}); err != nil {
				return err
			}
		}
		return nil
	}
	if dir := os.Getenv("APPROVAL_TEST_FOLDER"); dir != "" {
		if err := grant(dir, os.Getenv("APPROVAL_TEST_PREFIX")); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	var processes sync.WaitGroup
	for _, prefix := range []string{"a", "b"} {
		processes.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTwoProcessesGrant$")
			cmd.Env = append(os.Environ(), "APPROVAL_TEST_FOLDER="+dir, "APPROVAL_TEST_PREFIX="+prefix)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	processes.Wait()
	if n := len(New(Options{Dir: dir}).List().Granted); n != 2*each {
		t.Errorf("%d grants, want %d", n, 2*each)
	}
}

// While nothing is answered nobody is asked, and no request is made.
func TestRefuse(t *testing.T) {
	locked := &agent.Error{Code: agent.CodeLocked, Message: "locked"}
	a := New(Options{Refuse: func() error { return locked }})
	if _, err := a.Check(t.Context(), terminal(100), token); !errors.Is(err, agent.CodeLocked) || len(a.List().Pending) != 0 {
		t.Errorf("%v, and %+v waits", err, a.List().Pending)
	}
}

// A disk that does not answer: a standing grant is refused after a while, and does not come later.
func TestFrozenDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := New(Options{Dir: dir})
		thawed := make(chan struct{})
		a.write = func(dir string, data []byte) error { <-thawed; return writeFile(dir, data) }
		begun := time.Now()
		_, err := a.ApproveUnit(Standing{Unit: nightly, Environment: "prod"})
		if !errors.Is(err, durable.ErrDisk) || time.Since(begun) != durable.DiskWithin {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		refused(t, a, inUnit(nightly), token, "meanwhile")
		close(thawed)
		synctest.Wait()
		refused(t, New(Options{Dir: dir}), inUnit(nightly), token, "afterwards")
		if _, err := a.ApproveUnit(Standing{Unit: nightly, Environment: "prod"}); err != nil {
			t.Errorf("with a disk that answers: %v", err)
		}
		allowed(t, New(Options{Dir: dir}), inUnit(nightly), token, "approved again")
	})
}
