package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/doctor"
)

// The worst finding is the exit code, whatever the form of the report.
func TestDoctorExitCodes(t *testing.T) {
	for severity, want := range map[doctor.Severity]error{
		doctor.SeverityOK: nil, doctor.SeverityNote: nil,
		doctor.SeverityWarning: exitStatus(1), doctor.SeverityProblem: exitStatus(2),
	} {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			c := &cli{io: stdio{out: &out}}
			r := doctor.Report{Findings: []doctor.Finding{{ID: "socket", Severity: doctor.SeverityOK}, {ID: "socket.mode", Severity: severity}}}
			if err := c.writeReport(r, asJSON); err != want || !strings.Contains(out.String(), "socket.mode") {
				t.Errorf("%s, JSON %t: %v, want %v\n%s", severity, asJSON, err, want, out.String())
			}
		}
	}
	c := &cli{io: stdio{out: brokenWriter{}}}
	if err := c.writeReport(doctor.Report{}, false); err == nil || exitCode(err) != exitInternal {
		t.Errorf("a report that cannot be written: %v", err)
	}
}
