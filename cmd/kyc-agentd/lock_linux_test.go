package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
)

const lockPassphrase = "seven-blue-otters"

// setPassphrase sets it as a script does.
func (s *binaries) setPassphrase() {
	s.t.Helper()
	s.mustWith(lockPassphrase+"\n", "kyc-agentd", "passphrase", "--passphrase-stdin")
}

func (s *binaries) unlock() {
	s.t.Helper()
	s.mustWith(lockPassphrase+"\n", "kyc-agentd", "unlock", "--passphrase-stdin")
}

// A lock outlives restarts, refuses everything but status and unlock with exit 77, and gives back
// the same sign-in.
func TestLockAndUnlock(t *testing.T) {
	for _, store := range []string{"file", "memory"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s, srv := newSignedIn(t)
			s.fileStore()
			p := s.start("--store", store)
			if exit, _, errOut := s.run("", "kyc-agentd", "lock"); exit != exitConfiguration || !strings.Contains(errOut, "run: kyc-agentd passphrase") {
				t.Errorf("without a passphrase: exit %d: %s", exit, errOut)
			}
			s.login("prod", "ada", "Plum-stone-41")
			s.setPassphrase()
			s.must("kyc-token", "prod")
			pid := s.status().PID
			s.must("kyc-agentd", "lock")
			for _, args := range [][]string{
				{"kyc-token", "prod"}, {"kyc-token", "staging"}, {"kyc-agentd", "login", "prod", "-u", "ada", "--password-stdin"},
				{"kyc-agentd", "logout", "prod"}, {"kyc-agentd", "reload"}, {"kyc-agentd", "whoami", "prod"}, {"kyc-agentd", "api", "prod", "GET", "/kyc"},
			} {
				exit, out, errOut := s.run("Plum-stone-41\n", args[0], args[1:]...)
				if exit != exitDenied || out != "" || !strings.Contains(errOut, "locked with your passphrase") || !strings.Contains(errOut, "run: kyc-agentd unlock") {
					t.Errorf("%v: exit %d: %s%s", args, exit, out, errOut)
				}
			}
			st := s.status()
			if st.PID != pid || stateOf(st, "prod") != agent.StateLocked || stateOf(st, "staging") != agent.StateAbsent || !st.Lock.Locked {
				t.Errorf("%+v", st)
			}
			if store == "file" {
				p.stop()
				p = s.start("--store", store)
				if exit, _, _ := s.run("", "kyc-token", "prod"); exit != exitDenied {
					t.Errorf("after a restart: exit %d", exit)
				}
			}
			s.must("kyc-agentd", "restart", "--upgrade")
			if exit, _, errOut := s.run("not it\n", "kyc-agentd", "unlock", "--passphrase-stdin"); exit != exitDenied || !strings.Contains(errOut, "wrong passphrase") {
				t.Errorf("a wrong passphrase: exit %d: %s", exit, errOut)
			}
			s.unlock()
			s.must("kyc-token", "prod")
			if n := srv.SignIns(); n != 1 {
				t.Errorf("%d sign-ins", n)
			}
			p.stop()
		})
	}
}

// Who has lost the passphrase signs out here and in again.
func TestForgottenPassphrase(t *testing.T) {
	t.Parallel()
	s, _ := newSignedIn(t)
	s.fileStore()
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	s.must("kyc-agentd", "lock")
	if exit, _, errOut := s.run("", "kyc-agentd", "logout", "prod"); exit != exitDenied || !strings.Contains(errOut, "logout --local prod") {
		t.Errorf("exit %d: %s", exit, errOut)
	}
	s.must("kyc-agentd", "logout", "--local", "prod")
	awaitState(t, "the end of the lock", func() bool { st, err := s.client().Status(t.Context()); return err == nil && !st.Lock.Locked })
	s.login("prod", "ada", "Plum-stone-41")
	s.must("kyc-token", "prod")
	if s.status().Lock.Passphrase {
		t.Error("the passphrase is still there")
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".local/state/kyc-agent/prod.age")); err != nil {
		t.Error(err)
	}
}
