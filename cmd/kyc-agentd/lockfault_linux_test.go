package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/lock"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A lock during a refresh waits for it, because there is no grace period; who asked gets nothing.
func TestLockDuringARefresh(t *testing.T) {
	t.Parallel()
	s, srv := newSignedIn(t, cognitotest.Rotation(0))
	s.fileStore()
	p := s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	p.stop()
	s.start()
	srv.ForgetCalls()
	srv.SetLatency(cognitotest.Refresh, 2*time.Second)
	asked := make(chan int, 1)
	go func() {
		exit, out, _ := s.run("", "kyc-token", "prod")
		if out != "" {
			exit = -1
		}
		asked <- exit
	}()
	if err := srv.WaitCalls(within(t, time.Minute), cognitotest.Refresh, 1); err != nil {
		t.Fatal(err)
	}
	s.must("kyc-agentd", "lock")
	if exit := <-asked; exit != exitDenied {
		t.Errorf("who asked before got exit %d", exit)
	}
	s.unlock()
	s.must("kyc-token", "prod")
	if n := srv.SignIns(); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// A login in progress ends with the lock, and what Cognito still grants is revoked.
func TestLockDuringALogin(t *testing.T) {
	t.Parallel()
	s, srv := newSignedIn(t)
	s.fileStore()
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	srv.ForgetCalls()
	srv.SetLatency(cognitotest.SignIn, time.Second)
	ended := make(chan string, 1)
	go func() {
		exit, _, errOut := s.run("Plum-stone-41\n", "kyc-agentd", "login", "staging", "-u", "ada", "--password-stdin")
		ended <- fmt.Sprint(exit, errOut)
	}()
	if err := srv.WaitCalls(within(t, time.Minute), cognitotest.SignIn, 1); err != nil {
		t.Fatal(err)
	}
	s.must("kyc-agentd", "lock")
	if got := <-ended; !strings.HasPrefix(got, "77") || !strings.Contains(got, "locked with your passphrase") {
		t.Errorf("the login ended with %s", got)
	}
	s.unlock()
	s.must("kyc-token", "prod")
	if st := s.status(); stateOf(st, "staging") != agent.StateAbsent {
		t.Errorf("staging is %s", stateOf(st, "staging"))
	}
	awaitState(t, "one sign-in at Cognito", func() bool { return srv.LiveSignIns() == 1 })
}

// A proxied upload is cut off: its token is to leave the memory.
func TestLockDuringAnUpload(t *testing.T) {
	t.Parallel()
	began := make(chan bool, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey")
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(api.Close)
	s, _ := newSignedIn(t)
	s.fileStore()
	s.env = append(s.env, "KYC_PROD_API_URL="+api.URL)
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	conn, err := net.Dial("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /kyc HTTP/1.1\r\nHost: prod\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 100000))
	if !<-began {
		t.Fatal("the upload has no token")
	}
	start := time.Now()
	s.must("kyc-agentd", "lock")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the lock took %s", took)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
		t.Error("the upload goes on")
	}
}

// If the store cannot be written, the agent is locked all the same, says so, and wraps the rest
// when it can.
func TestLockWithAStoreThatFails(t *testing.T) {
	t.Parallel()
	s, _ := newSignedIn(t)
	s.fileStore()
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.login("staging", "ada", "Plum-stone-41")
	s.setPassphrase()
	record := filepath.Join(s.dir, ".local", "state", "kyc-agent", "prod.age")
	if err := os.Rename(record, record+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(record, 0o700); err != nil {
		t.Fatal(err)
	}
	exit, _, errOut := s.run("", "kyc-agentd", "lock")
	if exit != exitTemporary || !strings.Contains(errOut, "locked, but a sign-in is not wrapped in the store yet") || !strings.Contains(errOut, record) {
		t.Errorf("exit %d: %s", exit, errOut)
	}
	awaitState(t, "what is not wrapped", func() bool {
		st, err := s.client().Status(t.Context())
		return err == nil && st.Lock.Locked && st.Lock.Error != ""
	})
	if exit, _, _ := s.run("", "kyc-token", "staging"); exit != exitDenied {
		t.Errorf("exit %d", exit)
	}
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(record+".away", record); err != nil {
		t.Fatal(err)
	}
	awaitState(t, "a wrapped record", func() bool { return lock.IsWrapped(s.plainRecord("prod")) })
	awaitState(t, "the end of the error", func() bool { st, err := s.client().Status(t.Context()); return err == nil && st.Lock.Error == "" })
	s.unlock()
	s.must("kyc-token", "prod")
	s.must("kyc-token", "staging")
}

// A note that cannot be written leaves everything as it was.
func TestLockThatCannotBeNoted(t *testing.T) {
	t.Parallel()
	s, _ := newSignedIn(t)
	s.start("--store", "memory")
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	note := filepath.Join(s.dir, ".local", "state", "kyc-agent", lock.FileName)
	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(note, 0o700); err != nil {
		t.Fatal(err)
	}
	if exit, _, errOut := s.run("", "kyc-agentd", "lock"); exit != exitConfiguration || !strings.Contains(errOut, "not locked: the lock cannot be written") {
		t.Errorf("exit %d: %s", exit, errOut)
	}
	s.must("kyc-token", "prod")
}

// A lock whose exec fails is one all the same; the line says what the memory may have.
func TestLockWhoseExecFails(t *testing.T) {
	t.Parallel()
	s, srv := newSignedIn(t)
	program, err := os.ReadFile(s.command("kyc-agentd").Path)
	if err != nil {
		t.Fatal(err)
	}
	s.install(program, 0o755)
	s.fileStore()
	s.start()
	s.login("prod", "ada", "Plum-stone-41")
	s.setPassphrase()
	client := testpeer.Build(t, "kyc-agentd")
	if err := os.Chmod(s.installed, 0o644); err != nil {
		t.Fatal(err)
	}
	installed := s.installed
	s.installed = client // the verbs
	exit, _, errOut := s.run("", "kyc-agentd", "lock")
	if exit != exitConfiguration || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "locked, but its memory may have sign-ins still, because no fresh image took over: ") ||
		!strings.Contains(errOut, "permission denied; correct that, then run: kyc-agentd restart") {
		t.Errorf("exit %d: %s", exit, errOut)
	}
	if exit, _, errOut := s.run("", "kyc-token", "prod"); exit != exitDenied || !strings.Contains(errOut, "locked with your passphrase") {
		t.Errorf("kyc-token: exit %d: %s", exit, errOut)
	}
	if data, err := os.ReadFile(filepath.Join(s.dir, ".local/state/kyc-agent/lock.json")); err != nil || !strings.Contains(string(data), `"locked":true`) {
		t.Errorf("%s, %v", data, err)
	}
	if err := os.Chmod(installed, 0o755); err != nil {
		t.Fatal(err)
	}
	s.unlock()
	s.must("kyc-token", "prod")
	if n := srv.SignIns(); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// A program that passes the check and is gone a moment later leaves the old one serving, with
// the sign-in that is only in memory, on the same socket.
func TestUpgradeWhoseExecFails(t *testing.T) {
	t.Parallel()
	s, srv := newSignedIn(t)
	program, err := os.ReadFile(s.command("kyc-agentd").Path)
	if err != nil {
		t.Fatal(err)
	}
	s.install(program, 0o755)
	p := s.start("--store", "memory")
	s.login("prod", "ada", "Plum-stone-41")
	socket, err := os.Stat(s.socket())
	if err != nil {
		t.Fatal(err)
	}
	s.install([]byte("#!/bin/sh\necho 'handover 1'; rm \"$0\"\n"), 0o755)
	if err := s.client().Restart(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	awaitState(t, "the old image", func() bool { st, err := s.client().Status(t.Context()); return err == nil && st.ImageError != "" })
	if st := s.status(); st.Images != 0 || !strings.Contains(st.ImageError, "no such file") {
		t.Errorf("%+v", st)
	}
	s.install(program, 0o755)
	s.must("kyc-token", "prod")
	if now, err := os.Stat(s.socket()); err != nil || !os.SameFile(now, socket) || srv.SignIns() != 1 {
		t.Errorf("another socket or sign-in: %v", err)
	}
	if n := strings.Count(p.log.String(), "could not be replaced by a fresh image"); n != 1 {
		t.Errorf("%d lines say so", n)
	}
	s.must("kyc-agentd", "restart", "--upgrade")
	s.must("kyc-token", "prod")
	p.stop()
}
