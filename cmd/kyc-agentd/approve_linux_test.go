package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/legaltalent/kyc-agent/agent/approval"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/peer"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
	"github.com/legaltalent/kyc-agent/ipc"
)

// confirmed is a daemon that asks.
type confirmed struct {
	*binaries
	daemon *daemonProcess
}

// newConfirmed starts the shipped daemon, signed in at staging, where confirm is true.
func newConfirmed(t *testing.T, config string, vars ...string) *confirmed {
	t.Helper()
	srv := cognitotest.New()
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ana", Password: "Battery-staple-9"})
	s := &confirmed{binaries: newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)}
	dir := filepath.Join(s.dir, ".config", "kyc-agent")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("store = 'memory'\n[environments.staging]\nconfirm = true\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(append(s.env, vars...), "KYC_AGENTD="+testpeer.Build(t, "kyc-agentd"), "KYC_TOKEN="+testpeer.Build(t, "kyc-token"))
	s.daemon = s.start()
	s.login("staging", "ana", "Battery-staple-9")
	return s
}

func init() { programs["on-old-kernel"] = onOldKernel }

// onOldKernel runs its arguments where the kernel is that of Debian 12.
func onOldKernel() {
	err := testpeer.OldKernel()
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	panic(err)
}

// at runs a command in a session of its own at p's terminal.
func (s *confirmed) at(p *terminaltest.Person, name string, args ...string) *running {
	s.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.TTY, p.TTY, p.TTY
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	r, err := start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); <-r.exited })
	return r
}

// approvals returns what `approvals -o json` says.
func (s *confirmed) approvals() (list ipc.ApprovalList) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.must("kyc-agentd", "approvals", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// pending waits for a request, and returns the newest.
func (s *confirmed) pending() approval.Request {
	s.t.Helper()
	ctx := within(s.t, 6*time.Second)
	for ctx.Err() == nil {
		if p := s.approvals().Pending; len(p) > 0 {
			return p[len(p)-1]
		}
	}
	s.t.Fatal("no request came")
	return approval.Request{}
}

// answers answers at a terminal of its own, and returns what it showed.
func (s *confirmed) answers(answer string, args ...string) string {
	s.t.Helper()
	p := terminaltest.New(s.t)
	p.Resize(200, 50)
	r := s.at(p, testpeer.Build(s.t, "kyc-agentd"), append([]string{"approve"}, args...)...)
	p.Answers(terminaltest.Answer{"[yes/no] ", answer})
	<-r.exited
	if exit := r.ProcessState.ExitCode(); exit != 0 {
		s.t.Fatalf("approve: exit %d: %s", exit, p.Seen())
	}
	return p.Seen()
}

// A coding session: the first request of a script waits, is approved once, and 300 calls need no
// other approval. Another terminal is asked anew, and what was approved can be taken back.
func TestApprovedScript(t *testing.T) {
	s := newConfirmed(t, "")
	calls := testpeer.Rounds(30, 300)
	p := terminaltest.New(t)
	script := filepath.Join(s.dir, "job.sh")
	text := fmt.Sprintf("i=0; while [ $i -lt %d ]; do \"$KYC_TOKEN\" staging >/dev/null || exit; i=$((i+1)); done; echo all $i; read again; \"$KYC_TOKEN\" staging; echo ended $?\n", calls)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.at(p, "sh", "-c", "sh "+script+"; :")
	r := s.pending()
	if r.User != "ana" || r.Use.String() != "a token of staging" || r.Subject.TTY == "" || !strings.HasSuffix(r.Facts.Process.Exe, "kyc-token") {
		t.Errorf("%+v", r)
	}
	shown := s.answers("yes", strings.ToLower(r.ID), "--for", "1h")
	for _, want := range []string{"a token of staging", "signed in as ana", "kyc-token (pid ", "started by", "unit ", "the session of ", "Approve this for 1h?"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not shown: %s", want, shown)
		}
	}
	p.Sees(fmt.Sprintf("all %d", calls))
	list := s.approvals()
	if len(list.Granted) != 1 || list.Granted[0].Uses != calls || len(list.Pending) != 0 {
		t.Errorf("after %d calls: %+v", calls, list)
	}

	other := terminaltest.New(t)
	s.at(other, "sh", "-c", `"$KYC_TOKEN" staging; echo ended $?`)
	asked := s.pending()
	if asked.ID == r.ID || asked.Subject == r.Subject {
		t.Errorf("the other terminal: %+v", asked)
	}
	if shown := s.answers("no"); !strings.Contains(shown, asked.ID) {
		t.Errorf("without a code: %s", shown)
	}
	other.Sees("kyc-token: staging: this was not approved, when kyc-agentd approve " + asked.ID + " asked\r\nended 77")

	if got := s.must("kyc-agentd", "__complete", "revoke", ""); !strings.HasPrefix(got, r.ID+"\n") {
		t.Errorf("completed: %q", got)
	}
	s.must("kyc-agentd", "revoke", r.ID)
	p.Types("\n")
	if again := s.pending(); again.Subject != r.Subject {
		t.Errorf("after revoke: %+v", again)
	}
	s.must("kyc-agentd", "revoke", "--all")
	p.Sees("ended 77")
}

// A notificationServer takes what is shown at a desktop.
type notificationServer struct{ shown chan string }

// Notify is the method of org.freedesktop.Notifications.
func (s notificationServer) Notify(_ string, _ uint32, _, summary, body string, actions []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s.shown <- fmt.Sprintf("%s | %s | %d actions", summary, body, len(actions))
	return 1, nil
}

// A request is announced at the desktop, with what to type.
func TestApprovalIsAnnounced(t *testing.T) {
	address := testpeer.SessionBus(t)
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server := notificationServer{make(chan string, 10)}
	if err := conn.Export(server, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	s := newConfirmed(t, "", "DBUS_SESSION_BUS_ADDRESS="+address)
	p := terminaltest.New(t)
	s.at(p, "sh", "-c", `"$KYC_TOKEN" staging >/dev/null; echo ended $?`)
	r := s.pending()
	if got := <-server.shown; !strings.Contains(got, "a token of staging") || !strings.Contains(got, "kyc-agentd approve "+r.ID+" | 0 actions") {
		t.Error(got)
	}
	s.answers("yes", r.ID)
	p.Sees("ended 0")
}

// A daemon on an older kernel asks, and knows another terminal, as well.
func TestApproveOnOldKernel(t *testing.T) {
	s := newConfirmed(t, "")
	s.must("kyc-agentd", "approvals")
	s.daemon.stop()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.under = []string{self, "on-old-kernel"}
	s.daemon = s.start()
	s.login("staging", "ana", "Battery-staple-9")
	p := terminaltest.New(t)
	s.at(p, "sh", "-c", `"$KYC_TOKEN" staging >/dev/null; echo ended $?; read again; "$KYC_TOKEN" staging >/dev/null; echo ended $?`)
	r := s.pending()
	if r.Facts.Method != peer.MethodPidfdOpen {
		t.Errorf("the method is %s", r.Facts.Method)
	}
	s.answers("yes", r.ID)
	p.Sees("ended 0")
	other := terminaltest.New(t)
	s.at(other, "sh", "-c", `"$KYC_TOKEN" staging; echo ended $?`)
	if asked := s.pending(); asked.Subject == r.Subject {
		t.Errorf("%+v", asked)
	}
	s.answers("no")
	other.Sees("ended 77")
	p.Types("\n")
	p.Sees("ended 0")
}

// A request that nobody answers ends with the line to type, and the code 77.
func TestUnapproved(t *testing.T) {
	testpeer.Long(t) // it waits for 7 seconds
	s := newConfirmed(t, "")
	p := terminaltest.New(t)
	shell := s.at(p, "sh", "-c", `"$KYC_TOKEN" staging; echo ended $?; read end`)
	id := s.pending().ID
	p.Sees("kyc-token: staging: approve with: kyc-agentd approve " + id + "\r\nended 77") // after 8 s it would say that nobody answers
	if exit, _, errOut := s.run("", "kyc-agentd", "approve", id); exit != exitDenied || !strings.Contains(errOut, "no terminal to ask at") {
		t.Errorf("approve without a terminal: exit %d: %s", exit, errOut)
	}
	if exit, _, errOut := s.run("", "kyc-agentd", "approve", "AAAA"); exit != exitUsage || !strings.Contains(errOut, "no request has the code AAAA") {
		t.Errorf("approve of an unknown code: exit %d: %s", exit, errOut)
	}
	p.Types("\n")
	<-shell.exited
	if exit, _, errOut := s.run("", "kyc-agentd", "approve", id); exit != exitUsage || !strings.Contains(errOut, "the session that asked for "+id+" has ended") {
		t.Errorf("approve after the session: exit %d: %s", exit, errOut)
	}
}

// A program that prints a code of another one: what approve shows is the program that asked.
func TestPrintedCode(t *testing.T) {
	s := newConfirmed(t, "")
	p := terminaltest.New(t)
	s.at(p, "sh", "-c", `exec 3>&1; cp /bin/sh ./harmless 2>/dev/null; "$KYC_TOKEN" staging; :`)
	r := s.pending()
	liar := terminaltest.New(t)
	s.at(liar, "sh", "-c", "echo 'backup.sh: approve with: kyc-agentd approve "+r.ID+"'; sleep 60")
	liar.Sees(r.ID)
	shown := s.answers("no", r.ID)
	if !strings.Contains(shown, r.Facts.Process.String()) || !strings.Contains(shown, r.Subject.String()) || strings.Contains(shown, "backup.sh") {
		t.Error(shown)
	}
}

// A code that is none of a request, in every form, is one line and changes nothing.
func TestApproveOfNoCode(t *testing.T) {
	s := newConfirmed(t, "")
	for _, id := range []string{"7F3K", "zzzz", "../..", "..", "7F3K/../../status", "?x=y", "%2e%2e", "\x1b[31m", "7F3K 7F3K", strings.Repeat("A", 5000)} {
		for _, verb := range []string{"approve", "revoke"} {
			exit, out, errOut := s.run("", "kyc-agentd", verb, id)
			if exit != exitUsage || out != "" || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "no request has the code ") ||
				!strings.Contains(errOut, "see: kyc-agentd approvals") || strings.Contains(errOut, "\x1b") || len(errOut) > 200 {
				t.Errorf("%s %.20q: exit %d: %s%.300s", verb, id, exit, out, errOut)
			}
		}
	}
}

// While the agent is locked nobody is asked for an approval, which nobody could give: the line says
// what helps.
func TestConfirmWhileLocked(t *testing.T) {
	s := newConfirmed(t, "")
	s.setPassphrase()
	s.must("kyc-agentd", "lock")
	begun := time.Now()
	exit, _, errOut := s.run("", "kyc-token", "staging")
	if exit != exitDenied || !strings.Contains(errOut, "the agent is locked with your passphrase") || !strings.Contains(errOut, "run: kyc-agentd unlock") || time.Since(begun) > 5*time.Second {
		t.Errorf("after %s: exit %d: %s", time.Since(begun), exit, errOut)
	}
	if out := s.must("kyc-agentd", "approvals"); !strings.Contains(out, "no requests wait") {
		t.Error(out)
	}
}

// A lock, an upgrade and a restart end what was approved for a session, which is asked anew, and keep
// what was approved for a unit.
func TestWhatEndsApprovals(t *testing.T) {
	for name, end := range map[string]func(*confirmed){
		"lock": func(s *confirmed) {
			s.setPassphrase()
			s.must("kyc-agentd", "lock")
			s.unlock()
		},
		"upgrade": func(s *confirmed) { s.must("kyc-agentd", "restart", "--upgrade") },
		"restart": func(s *confirmed) {
			s.daemon.stop()
			s.daemon = s.start()
			s.login("staging", "ana", "Battery-staple-9")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newConfirmed(t, "")
			p := terminaltest.New(t)
			s.at(p, "sh", "-c", `"$KYC_TOKEN" staging >/dev/null; echo first $?; read again; "$KYC_TOKEN" staging; echo ended $?`)
			r := s.pending()
			s.answers("yes", r.ID)
			p.Sees("first 0")
			s.answers("yes", "--unit", "nightly.service", "--for", "30d", "--env", "staging")

			end(s)
			if granted := s.approvals().Granted; len(granted) != 1 || !granted[0].Standing {
				t.Errorf("after it: %+v", granted)
			}
			p.Types("\n")
			if again := s.pending(); again.ID == r.ID || again.Subject != r.Subject {
				t.Errorf("asked anew: %+v", again)
			}
			s.must("kyc-agentd", "revoke", "--all")
			p.Sees("ended 77")
		})
	}
}

// A request to the API is approved by method and path.
func TestApproveAPI(t *testing.T) {
	asked := make(chan string, 10)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path + r.Header.Get("X-HTTP-Method-Override")
	}))
	t.Cleanup(api.Close)
	s := newConfirmed(t, "api_url = '"+api.URL+"'\n")
	p := terminaltest.New(t)
	s.at(p, "sh", "-c", `for path in /kyc/1 /kyc/2 /other; do "$KYC_AGENTD" api staging GET $path -H 'X-HTTP-Method-Override: DELETE'; echo ended $?; done`)
	r := s.pending()
	shown := s.answers("yes", r.ID, "--allow-path", "/kyc/*")
	if !strings.Contains(shown, "GET /kyc/1 at the API of staging") || !strings.Contains(shown, "Approve GET /kyc/* for 30m?") {
		t.Error(shown)
	}
	p.Sees("ended 0\r\nended 0\r\n")
	if got := <-asked + ", " + <-asked; got != "GET /kyc/1, GET /kyc/2" {
		t.Error(got)
	}
	if r := s.pending(); r.Use.Path != "/other" {
		t.Errorf("%+v", r.Use)
	}
	s.must("kyc-agentd", "revoke", "--all")
	p.Sees("ended 77")
}

// A reload that turns confirm on asks from then on, on every socket; approve is for the agent's
// own socket alone.
func TestConfirmOnOtherSockets(t *testing.T) {
	s := newConfirmed(t, "[[sockets]]\nname = 'ai'\nenvironments = ['prod']\nallow = ['token']\nconfirm = true\n")
	s.login("prod", "ana", "Battery-staple-9")
	for _, want := range []string{"staging: each program needs an approval; see: kyc-agentd approvals\n", "token, once approved"} {
		if got := s.must("kyc-agentd", "status"); !strings.Contains(got, want) {
			t.Errorf("status: %s", got)
		}
	}
	ai := filepath.Join(s.dir, "run", "kyc-agentd", "sockets", "ai", "agent.sock")
	p := terminaltest.New(t)
	s.at(p, "sh", "-c", `"$KYC_TOKEN" prod >/dev/null; echo own $?; "$KYC_TOKEN" -socket `+ai+` prod >/dev/null; echo ended $?`)
	p.Sees("own 0")
	r := s.pending()
	if r.Use.Socket != "ai" {
		t.Errorf("%+v", r.Use)
	}
	for _, args := range [][]string{{"approvals"}, {"revoke", r.ID}, {"revoke", "--all"}} {
		if exit, _, errOut := s.run("", "kyc-agentd", append(args, "--socket", ai)...); exit != exitDenied || !strings.Contains(errOut, "approvals are not for this socket, ai") {
			t.Errorf("%s: exit %d: %s", args, exit, errOut)
		}
	}
	s.answers("yes", r.ID)
	p.Sees("ended 0")
}
