package packaging_test

import (
	"strings"

	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

const isLocked = `kyc-token: the agent is locked with your passphrase since [-0-9: ]+; run: kyc-agentd unlock\n`

// setPassphrase sets one, if the scenario before has not.
func (s *bootedSystem) setPassphrase() {
	s.t.Helper()
	s.must(0, roots.User, `kyc-agentd status | grep -q "^not locked; " || kyc-agentd passphrase --passphrase-stdin`, lockPassphrase+"\n")
}

func (s *bootedSystem) unlock() {
	s.t.Helper()
	s.must(0, roots.User, "kyc-agentd unlock --passphrase-stdin", lockPassphrase+"\n")
	s.says("kyc-token prod", aToken)
}

// expectLocked waits until the agent is locked, and checks what a client and status say.
func (s *bootedSystem) expectLocked(why string) {
	s.t.Helper()
	s.await(`kyc-agentd status | grep -q "^locked "`)
	s.match(s.must(77, roots.User, "kyc-token prod", ""), isLocked)
	s.match(s.user("kyc-agentd status"), `(?s).*\nlocked with your passphrase [^\n]* ago`+why+`; run: kyc-agentd unlock\n.*`)
}

// asSystemdSees is what must not change while images of the daemon take over from each other.
const asSystemdSees = `systemctl --user show -p MainPID,ExecMainStartTimestampMonotonic,NRestarts,ActiveState,ActiveEnterTimestampMonotonic kyc-agentd.service
	for socket in kyc-agentd.socket kyc-agentd-extra.socket; do
		systemctl --user show -p SubState,ActiveEnterTimestampMonotonic,Result $socket
	done
	stat -c "%n %i" $XDG_RUNTIME_DIR/kyc-agentd/agent*.sock`

// thricePinged waits until systemd has got three signs of life: longer than the watchdog waits.
const thricePinged = `for n in 1 2 3; do
		last=$(systemctl --user show -P WatchdogTimestampMonotonic kyc-agentd.service)
		until [ "$last" != "$(systemctl --user show -P WatchdogTimestampMonotonic kyc-agentd.service)" ]; do sleep 0.05; done
	done`

// testBootedLock locks, upgrades and unlocks the agent. systemd sees one process all the time,
// with its watchdog and both sockets.
func testBootedLock(s *bootedSystem) {
	const extra = "KYC_AGENT_SOCK=$XDG_RUNTIME_DIR/kyc-agentd/agent.extra.sock kyc-token prod"
	s.setPassphrase()
	s.says(extra, aToken)
	before := s.user(asSystemdSees)
	for _, property := range []string{"MainPID=[1-9]", "NRestarts=0\n", "ActiveState=active\n"} {
		s.find(before, property)
	}
	same := func(after string) {
		s.t.Helper()
		if now := s.user(asSystemdSees); now != before {
			s.t.Errorf("after %s systemd sees\n%s\nand before\n%s", after, now, before)
		}
	}
	s.user("kyc-agentd lock")
	same("lock")
	s.expectLocked("")
	s.match(s.must(77, roots.User, extra, ""), isLocked)
	s.user("timeout 20 sh -c '" + thricePinged + "'")
	s.user("kyc-agentd restart --upgrade")
	same("an upgrade")
	s.must(77, roots.User, "kyc-token prod", "")
	s.unlock()
	same("unlock")
	s.says(extra, aToken)
	s.user("timeout 20 sh -c '" + thricePinged + "'")
	same("a while")
}

// session logs in at a terminal, as login does, and returns the session's name. It lasts until
// unit desk is stopped.
func (s *bootedSystem) session() string {
	s.t.Helper()
	s.root("systemd-run --quiet --collect --unit=desk sh -c 'tail -f /dev/null | script -qc \"exec login -f " + roots.User + "\" /dev/null'")
	s.await(`loginctl --no-legend list-sessions | grep -q "` + roots.User + ` .*pts/"`)
	list := s.root("loginctl --no-legend list-sessions")
	return s.find(list, `(?m)^ *(\S+) .*`+roots.User+` .*pts/`)
}

const inhibits = `systemd-inhibit --list --no-legend --no-pager | grep -q kyc-agentd`

// testScreenLock locks with a session of a real login. Without polkit, too, which logind asks
// whether the agent may delay a suspend.
func testScreenLock(s *bootedSystem) {
	s.setPassphrase()
	session := s.session()
	const polkit = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"
	s.root("mv " + polkit + " /root/polkit && systemctl reload dbus && systemctl stop polkit")
	s.user("systemctl --user restart kyc-agentd.service && kyc-token prod")
	s.await(`journalctl --user -t kyc-agentd -o cat | grep -q "^auto_lock cannot delay a suspend, .* install polkitd error="`)
	s.must(1, roots.User, inhibits, "")
	s.user("loginctl lock-session " + session)
	s.expectLocked(", with the screen")
	s.unlock()
	s.root("mv /root/polkit " + polkit + " && systemctl reload dbus")
	s.await(inhibits) // also: this image follows logind
	s.match(s.user("systemd-inhibit --list --no-legend --no-pager"),
		`(?s).*kyc-agentd +1000 +`+roots.User+` +`+strings.TrimSpace(s.property("MainPID"))+` +kyc-agentd +sleep +locks the sign-ins +delay *\n.*`)

	s.user("loginctl lock-session " + session)
	s.expectLocked(", with the screen")
	s.user("loginctl unlock-session " + session)
	s.expectLocked(", with the screen") // only the passphrase unlocks
	s.unlock()

	const set = "busctl call org.freedesktop.login1 $(busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager GetSession s SESSION | cut -d'\"' -f2) org.freedesktop.login1.Session SetLockedHint b "
	hint := func(value string) {
		s.t.Helper()
		s.user(strings.ReplaceAll(set, "SESSION", session) + value)
	}
	s.await(inhibits)
	hint("true")
	s.match(s.user("loginctl show-session -p LockedHint "+session), "LockedHint=yes\n")
	s.expectLocked(", with the screen")
	s.unlock() // from elsewhere, while the screen is still locked
	s.await(inhibits)
	s.user("kyc-agentd restart --upgrade")
	s.await(inhibits)
	s.says("kyc-token prod", aToken)

	s.user("systemctl --user stop kyc-agentd.service") // the screen is locked when it starts again
	s.expectLocked(", with the screen")
	s.unlock()
	s.await(inhibits)
	hint("false")
	s.says("kyc-token prod", aToken)
	s.root("systemctl stop desk.service")
}

// testSuspendLock has logind suspend the machine, in all but the kernel's part: systemd-suspend
// only notes what the agent says at that moment.
func testSuspendLock(s *bootedSystem) {
	s.setPassphrase()
	s.write("/run/systemd/system/systemd-suspend.service.d/50-test.conf", "[Service]\nExecStart=\nExecStart=/bin/sh -c 'runuser -u "+roots.User+" -- kyc-agentd status >/run/status; mv /run/status /run/suspended'\n", 0o644)
	// logind suspends if the kernel says that it can.
	s.root(`mkdir /run/power && echo 'freeze mem' >/run/power/state && echo '[s2idle] deep' >/run/power/mem_sleep && mount --bind /run/power /sys/power
		systemctl daemon-reload && systemctl restart systemd-logind`)
	s.await(inhibits)
	since := strings.TrimSpace(s.root("date +%s"))
	s.root("systemctl suspend")
	s.await("[ -e /run/suspended ]")
	s.match(s.root("cat /run/suspended"), `(?s).*\nlocked with your passphrase [^\n]*, before a suspend; run: kyc-agentd unlock\n.*`)
	if log := s.root("journalctl -u systemd-logind -o cat --since=@" + since); strings.Contains(log, "timeout is reached") {
		s.t.Errorf("the lock took longer than logind waits:\n%s", log)
	}
	s.expectLocked(", before a suspend")
	s.await(inhibits) // the next one
	if log := s.user("journalctl --user -t kyc-agentd -p warning -o cat --since=@" + since); strings.Contains(log, "auto_lock") {
		s.t.Errorf("it logs %s", log)
	}
	s.unlock()
}
