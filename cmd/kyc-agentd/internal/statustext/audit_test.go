package statustext

import (
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
)

func TestAudit(t *testing.T) {
	for _, test := range []struct {
		status *agent.AuditStatus
		want   string
	}{
		{nil, ""},
		{&agent.AuditStatus{Mode: "on", Lines: 7}, ""},
		{&agent.AuditStatus{Mode: "required"}, ""},
		{&agent.AuditStatus{Mode: "off"}, "the audit log is off"},
		{&agent.AuditStatus{Mode: "on", Dropped: 3}, "the audit log lacks events since the start: 3"},
		{&agent.AuditStatus{Mode: "on", Error: "the audit log cannot be written: no space\x1b left"}, "the audit log cannot be written: no space? left"},
		{&agent.AuditStatus{Mode: "on", Dropped: 3, Error: "the audit log cannot be written: no space"}, "the audit log cannot be written: no space; events without a line since the start: 3"},
	} {
		if got := Audit(test.status); got != test.want {
			t.Errorf("%+v: %q, want %q", test.status, got, test.want)
		}
	}
}
