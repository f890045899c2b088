package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// With audit = "required" on a disk that is frozen, each verb ends in time with a line that says why,
// none makes another one wait, and the agent stops.
func TestFrozenDisk(t *testing.T) {
	testpeer.Long(t) // 20 s
	disk := testpeer.NewDisk(t)
	s, _ := newSignedIn(t)
	s.env = append(s.env, "XDG_STATE_HOME="+disk.Dir)
	s.fileStore()
	p := s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	s.must("kyc-agentd", "config", "set", "audit", "required")
	s.must("kyc-agentd", "reload")
	s.must("kyc-token", "prod")

	thaw := disk.Freeze()
	for _, test := range []struct {
		args   string
		exit   int
		within time.Duration
		says   string
	}{
		{"kyc-token prod", exitTemporary, 8 * time.Second, "cannot be written: the disk has not answered since"},
		{"kyc-agentd status", exitOK, 2 * time.Second, "the disk has not answered since"},
		{"kyc-agentd doctor", exitProblems, 5 * time.Second, "the disk has not answered since"},
		{"kyc-agentd lock", exitTemporary, 8 * time.Second, "not locked: the lock cannot be written: the disk has not answered for 5s"},
		{"kyc-agentd status", exitOK, 2 * time.Second, "not locked"},
		{"kyc-agentd logout prod", exitTemporary, 12 * time.Second, "signed out, but the sign-in is still in the store"},
	} {
		args := strings.Fields(test.args)
		begun := time.Now()
		exit, out, errOut := s.run("", args[0], args[1:]...)
		if took := time.Since(begun); exit != test.exit || took > test.within || !strings.Contains(out+errOut, test.says) {
			t.Errorf("%s took %s: exit %d: %s%s", test.args, took, exit, out, errOut)
		}
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	awaitState(t, "the last line of the log", func() bool { return strings.Contains(p.log.String(), `"msg":"stopped"`) })
	thaw()
	<-p.done
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.must("kyc-token", "prod")
	s.must("kyc-agentd", "audit", "show")
}
