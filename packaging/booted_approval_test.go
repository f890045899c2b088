package packaging_test

import (
	"fmt"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

const (
	askedFor = `kyc-token: staging: approve with: kyc-agentd approve ([3-9A-Y]+)\n`
	deniedTo = `kyc-token: staging: this was not approved, when kyc-agentd approve [3-9A-Y]+ asked\n`
)

// A worker is a service that gets a token whenever somebody asks it to. All of them are the same
// program.
const worker = `#!/bin/sh
cd "$XDG_RUNTIME_DIR" || exit
while read -r _ <"ask-$1"; do
	{ kyc-token staging 2>&1; echo "exit $?"; } >"answer-$1"
done
`

// ask is shell that has a worker ask for a token, and prints what it gets.
func ask(name string) string {
	return strings.ReplaceAll("cd $XDG_RUNTIME_DIR; echo >ask-NAME; cat answer-NAME", "NAME", name)
}

// meanwhile runs a command that asks for a token. While it waits, then runs with its code in
// $CODE. It returns what the command prints.
func (s *bootedSystem) meanwhile(command, then string) string {
	s.t.Helper()
	return s.user(`(` + command + `) >~/printed 2>&1 &
		timeout 20 sh -c '` + awaited(`kyc-agentd approvals | grep -q " waits "`) + `' || exit
		CODE=$(kyc-agentd approvals | awk '/ waits /{print $1}')
		{ ` + then + `; } >~/then 2>&1 || { cat ~/then; exit 1; }
		wait; cat ~/printed`)
}

// refuses checks that a command is asked about, and what it gets if the answer is no.
func (s *bootedSystem) refuses(command string) {
	s.t.Helper()
	printed := s.meanwhile(command, "kyc-agentd revoke $CODE && echo $CODE >~/code")
	code := strings.TrimSpace(s.user("cat ~/code"))
	s.find(printed, fmt.Sprintf("kyc-token: staging: this was not approved, when kyc-agentd approve %s asked\n", code))
}

// approve answers yes at a terminal, and returns what was shown.
func (s *bootedSystem) approve(args string) string {
	s.t.Helper()
	shown := s.must(0, roots.User, "script -qec 'stty cols 200; kyc-agentd approve "+args+"' /dev/null", "yes\n")
	return strings.ReplaceAll(shown, "\r", "")
}

// testServiceApprovals: an approval is for the main process of one service, and ends with it.
func testServiceApprovals(s *bootedSystem) {
	s.write("/usr/local/bin/worker", worker, 0o755)
	s.write("/etc/systemd/user/worker@.service", "[Service]\nExecStart=/usr/local/bin/worker %i\n", 0o644)
	s.user("cd $XDG_RUNTIME_DIR; mkfifo ask-a answer-a ask-b answer-b ask-c answer-c; systemctl --user daemon-reload; systemctl --user start worker@a worker@b worker@c")
	code := s.find(s.match(s.user(ask("a")), askedFor+"exit 77\n"), askedFor) // after its seven seconds
	s.match(s.user("kyc-agentd approvals"), `(?s)ID +STATE +WHAT +PROGRAM\n`+code+` +waits \d+s +a token of staging +/usr/bin/kyc-token .*`)
	shown := s.approve(code)
	s.match(shown, `(?s).*\n  signed in as ana\n  program      /usr/bin/kyc-token \(pid \d+\)\n  started by   /usr/bin/dash \(pid \d+\)\n.*`+
		`\n  unit         worker@a\.service \(user\)\n  approves     the session of /usr/bin/dash \(pid \d+\)\n.*`)
	s.match(s.user(ask("a")+";"+ask("a")), aToken+"exit 0\n"+aToken+"exit 0\n")
	list := s.user("kyc-agentd approvals -o json")
	if !strings.Contains(list, `"uses": 2`) || !strings.Contains(list, `"pending": []`) {
		s.t.Errorf("the approvals are %s", list)
	}

	s.refuses(ask("b"))
	s.match(s.user(ask("b")), deniedTo+"exit 77\n") // at once
	s.match(s.user(ask("a")), aToken+"exit 0\n")    // the other one still has its own

	s.user("systemctl --user restart worker@a")
	s.match(s.user("kyc-agentd approvals"), "no requests wait, and nothing is approved\n")
	s.refuses(ask("a"))

	s.match(s.meanwhile(ask("c"), `echo yes | script -qec "kyc-agentd approve --for 1s $CODE" /dev/null`), aToken+"exit 0\n") // it waited for the answer
	s.await("kyc-agentd approvals | grep -q \"nothing is approved\"")
	s.refuses(ask("c"))
	s.user("systemctl --user stop worker@a worker@b worker@c")
}

// timed starts a timer and waits until its service has run; it returns the result of the service.
func timed(name string) string {
	return strings.ReplaceAll(`systemctl --user start NAME.timer
		timeout 20 sh -c 'until [ $(systemctl --user show -P ExecMainExitTimestampMonotonic NAME.service) -gt 0 ]; do sleep 0.05; done'
		systemctl --user show -P Result NAME.service
		systemctl --user stop NAME.timer; systemctl --user reset-failed NAME.service 2>/dev/null; true`, "NAME", name)
}

// logged is shell that prints what was logged last. The entry of a program that has ended before the
// journal looked it up names no unit.
const logged = "journalctl --user -o cat -n 30"

// testTimerApprovals: a timer with a standing approval is not asked, after a restart of the agent
// neither. Another one is.
func testTimerApprovals(s *bootedSystem) {
	for _, name := range []string{"nightly", "weekly"} {
		s.write("/etc/systemd/user/"+name+".service", "[Service]\nType=oneshot\nExecStart=/usr/bin/kyc-token staging\n", 0o644)
		s.write("/etc/systemd/user/"+name+".timer", "[Timer]\nOnActiveSec=100ms\nAccuracySec=1ms\n", 0o644)
	}
	s.user("systemctl --user daemon-reload")
	shown := s.approve("--unit nightly.service --for 30d --env staging")
	code := s.find(s.match(shown, `(?s).*Every run of the unit nightly\.service \(user\) may have, without a question:\n  a token of staging, as ana\n.*`), `revoke (\w+)`)
	s.says(timed("nightly"), "success\n")
	s.user("systemctl --user restart kyc-agentd.service")
	s.says(timed("nightly"), "success\n")
	s.match(s.user("kyc-agentd approvals"), `ID .*\n`+code+` +until [^\n]* the unit nightly\.service \(user\)\n`)

	s.says(timed("weekly"), "exit-code\n")
	log := s.user(logged)
	asked := s.find(log, askedFor)
	s.find(log, `status=77`)
	s.match(s.must(64, roots.User, "kyc-agentd approve "+asked, ""), "kyc-agentd: the session that asked for "+asked+
		" has ended; for each run of its unit: kyc-agentd approve --unit weekly.service --for 30d --env staging\n")
	s.user("kyc-agentd revoke " + strings.ToLower(code))
	s.must(64, roots.User, "kyc-agentd revoke "+code, "")
	s.refuses(timed("nightly") + "; " + logged)
}

// testSystemApprovals: a standing approval for a unit of the system's manager is not one for a
// user unit of that name.
func testSystemApprovals(s *bootedSystem) {
	const service = "[Service]\nType=oneshot\n%sExecStart=/usr/bin/kyc-token staging\n"
	s.write("/etc/systemd/system/payday.service", fmt.Sprintf(service, "User="+roots.User+"\n"), 0o644)
	s.write("/etc/systemd/user/payday.service", fmt.Sprintf(service, ""), 0o644)
	s.root("systemctl daemon-reload")
	s.user("systemctl --user daemon-reload")
	s.approve("--system --unit payday.service --for 30d --env staging")
	s.root("systemctl start payday.service")
	s.refuses("systemctl --user start payday.service; " + logged)
	s.root("systemctl start payday.service")
	s.user("kyc-agentd revoke --all")
	s.approve("--unit payday.service --for 30d --env staging")
	s.user("systemctl --user start payday.service")
	s.user("systemctl --user stop payday.service; kyc-agentd revoke --all")
}
