package packaging_test

import (
	"strconv"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/testpeer/roots"
)

const stateFolder = "~/.local/state/kyc-agent"

// asRoot verifies another user's log with that user's entries.
const asRoot = "journalctl -t kyc-agentd _UID=1000 -o json | kyc-agentd audit verify --log - --dir /home/" + roots.User + "/.local/state/kyc-agent"

// verify runs audit verify without a terminal, and so without a first key. It returns the report as
// one line, and how many lines were compared with the journal.
func (s *bootedSystem) verify(exit int) (report string, compared int) {
	s.t.Helper()
	report = strings.Join(strings.Fields(s.must(exit, roots.User, "kyc-agentd audit verify", "")), " ")
	compared, err := strconv.Atoi(s.find(report, `(\d+) compared with the daemon's log`))
	if err != nil {
		s.t.Fatal(err)
	}
	return report, compared
}

// headLogged waits until the journal has the head of the last line.
func (s *bootedSystem) headLogged() {
	s.t.Helper()
	s.await(`[ $(journalctl --user -t kyc-agentd -o json --output-fields=KYC_N KYC_FILE=$HOME/.local/state/kyc-agent/audit.jsonl -n 1 | sed "s/.*KYC_N\":\"\([0-9]*\).*/\1/") = ` +
		`$(sed "s/.*\"n\":\([0-9]*\),.*/\1/" ~/.local/state/kyc-agent/audit.state) ]`)
}

// stopped runs a line while the agent is stopped.
func (s *bootedSystem) stopped(line string) {
	s.t.Helper()
	s.user("systemctl --user stop kyc-agentd.service; cd " + stateFolder + " && " + line)
}

// testAuditJournal: the heads are in the journal, out of the user's reach, and verify finds with
// them what nothing in the user's own files shows.
func testAuditJournal(s *bootedSystem) {
	s.login("prod")
	s.headLogged()
	if _, compared := s.verify(0); compared == 0 {
		s.t.Error("nothing was compared")
	}
	s.match(s.root(asRoot), `(?s).* [1-9]\d* compared with the daemon's log; the log is as the agent wrote it.*`)

	// The end is cut off, and the state of that time put back: nothing but the journal shows it, also
	// when the agent has gone on from there.
	s.stopped("cp audit.jsonl ~/old.jsonl && cp audit.state ~/old.state")
	s.login("prod")
	s.login("prod")
	s.headLogged()
	s.stopped("cp ~/old.jsonl audit.jsonl && cp ~/old.state audit.state")
	const cutOff = `.*problem: the daemon's log knows line \d+ of chain [0-9a-f]{8}, and the file does not: lines were cut off or removed .*the log is not as the agent wrote it`
	report, _ := s.verify(2)
	s.match(report, cutOff)
	for range 3 {
		s.login("prod")
	}
	s.headLogged()
	report, _ = s.verify(2)
	s.match(report, `.*problem: audit\.jsonl:\d+: the daemon's log has two different lines \d+: .*`)
	s.match(s.user("kyc-agentd audit verify --dir "+stateFolder), "(?s).*the log is as the agent wrote it.*") // without the journal

	// A full file is removed; audit init begins another.
	s.beginAnew()
	s.user("kyc-agentd audit init")
	s.login("prod")
	s.headLogged()
	s.verify(0)
	s.stopped("rm audit-000001.jsonl")
	report, _ = s.verify(2)
	s.match(report, cutOff)

	// All of it is removed, and the agent begins anew.
	s.beginAnew()
	s.stopped("rm audit*")
	s.login("prod")
	s.headLogged()
	report, _ = s.verify(2)
	s.match(report, cutOff)

	// A program of this user logs a head that is none.
	s.beginAnew()
	s.user(`printf "MESSAGE=audit head\nSYSLOG_IDENTIFIER=kyc-agentd\nKYC_CHAIN=%s\nKYC_N=1\nKYC_HASH=00\nKYC_FILE=%s\n" ` +
		`"$(sed 's/.*"chain":"\([0-9a-f]*\)".*/\1/' ~/.local/state/kyc-agent/audit.state)" ~/.local/state/kyc-agent/audit.jsonl | logger --journald`)
	report, _ = s.verify(2)
	s.match(report, `.*problem: audit\.jsonl:1: the daemon's log has two different lines 1: .*`)
}

// forgetJournal removes all entries.
func (s *bootedSystem) forgetJournal() {
	s.t.Helper()
	s.root("journalctl --sync && journalctl --rotate && journalctl --vacuum-time=1us")
}

// beginAnew has the agent begin a log of which the journal knows nothing else.
func (s *bootedSystem) beginAnew() {
	s.t.Helper()
	s.stopped("rm audit*")
	s.forgetJournal()
	s.login("prod")
	s.headLogged()
	s.verify(0)
}

// testAuditWithoutJournal: verify says that the journal cannot be read, and that it has no entry any
// more.
func testAuditWithoutJournal(s *bootedSystem) {
	s.beginAnew()
	s.root("chmod 0600 /var/log/journal/*/user-1000.journal") // and with it the rights that its ACL gives
	report, _ := s.verify(0)
	s.match(report, `.*note: no head of the daemon's log was compared: .*note: the journal cannot be read: No journal files were opened due to insufficient permissions; `+
		`an administrator can read it: journalctl -t kyc-agentd _UID=1000 -o json >FILE; then: kyc-agentd audit verify --log FILE .*`)
	s.root("journalctl -t kyc-agentd _UID=1000 -o json >/tmp/journal.json && chmod 0644 /tmp/journal.json")
	s.match(s.user("kyc-agentd audit verify --log /tmp/journal.json"), `(?s).* [1-9]\d* compared with the\s+daemon's log.*`)
	s.root("chmod 0640 /var/log/journal/*/user-1000.journal")
	s.stopped("true") // it logs the heads of its last lines
	s.forgetJournal()
	report, _ = s.verify(0)
	s.match(report, `.*note: no head of the daemon's log was compared: .*note: the journal has no head of this log: journald has removed them .*`)
	s.login("prod")
	s.headLogged()
	if _, compared := s.verify(0); compared == 0 {
		s.t.Error("what is logged since then is not compared")
	}

	// A journal in memory has no file that the user could read.
	const volatile = "/etc/systemd/journald.conf.d/test.conf"
	s.write(volatile, "[Journal]\nStorage=volatile\n", 0o644)
	s.root("systemctl restart systemd-journald && rm /var/log/journal/*/user-1000*")
	s.login("prod")
	report, _ = s.verify(0)
	s.match(report, `.*note: the journal cannot be read: .* insufficient permissions; an administrator .*`)
	s.match(s.root(asRoot), `(?s).* [1-9]\d* compared with the daemon's log; the log is as the agent wrote it.*`)
	s.root("rm " + volatile + " && systemctl restart systemd-journald && journalctl --flush")
	s.login("prod")
	s.headLogged()
}
