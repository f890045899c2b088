package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
)

var listed = agent.Status{DefaultEnvironment: "staging", Environments: []agent.EnvironmentStatus{
	{Name: "prod", State: agent.StateAbsent, APIURL: "https://kyc.legaltalent.ai"},
	{Name: "qa", State: agent.StateIdle, User: "ana@example.com"},
	{Name: "staging", State: agent.StateFresh, User: "ana@example.com", APIURL: "https://stg.kyc.legaltalent.ai"},
}}

var somebody = identity{
	Environment: "staging", User: "ana@example.com", Subject: "7d1f2c34-0000-4000-8000-0123456789ab",
	ExpiresAt: noon.Add(54 * time.Minute), SignedInAt: noon.Add(-time.Hour), SignInEndsAt: noon.Add(50 * time.Hour),
	Claims: map[string]json.RawMessage{
		"email": json.RawMessage(`"ana@example.com"`), "email_verified": json.RawMessage(`false`),
		"cognito:groups": json.RawMessage(`["analysts","reviewers","administrators"]`), "custom:tenant_id": json.RawMessage(`"acme"`),
	},
}

// TestLayoutForTheWidth holds that list and whoami are laid out for a terminal that is wide or
// narrow, and that where there is none the lines are as long as they have to be.
func TestLayoutForTheWidth(t *testing.T) {
	verbs := map[string]func(io.Writer) error{
		"list":   func(w io.Writer) error { return writeEnvironments(w, listed) },
		"whoami": func(w io.Writer) error { return somebody.write(w, noon) },
	}
	wants := []struct {
		verb    string
		columns uint16 // 0: no terminal
		text    string
	}{
		{"list", 0, "" +
			"ENVIRONMENT        STATE   USER             API\n" +
			"prod               absent  -                https://kyc.legaltalent.ai\n" +
			"qa                 idle    ana@example.com  \n" +
			"staging (default)  fresh   ana@example.com  https://stg.kyc.legaltalent.ai\n"},
		{"list", 80, "" +
			"ENVIRONMENT        STATE   USER             API\n" +
			"prod               absent  -                https://kyc.legaltalent.ai\n" +
			"qa                 idle    ana@example.com  \n" +
			"staging (default)  fresh   ana@example.com  https://stg.kyc.legaltalent.ai\n"},
		{"list", 40, "" +
			"prod\n" +
			"  state  absent\n" +
			"  api    https://kyc.legaltalent.ai\n" +
			"qa\n" +
			"  state  idle\n" +
			"  user   ana@example.com\n" +
			"staging (default)\n" +
			"  state  fresh\n" +
			"  user   ana@example.com\n" +
			"  api    https://stg.kyc.legaltalent.ai\n"},
		{"whoami", 0, "" +
			"environment   staging\n" +
			"user          ana@example.com\n" +
			"sub           7d1f2c34-0000-4000-8000-0123456789ab\n" +
			"e-mail        ana@example.com (not verified)\n" +
			"tenant_id     acme\n" +
			"groups        analysts, reviewers, administrators\n" +
			"token ends    in 54m00s\n" +
			"signed in     1h00m ago\n" +
			"sign-in ends  in 2d2h\n"},
		{"whoami", 80, "" +
			"environment   staging\n" +
			"user          ana@example.com\n" +
			"sub           7d1f2c34-0000-4000-8000-0123456789ab\n" +
			"e-mail        ana@example.com (not verified)\n" +
			"tenant_id     acme\n" +
			"groups        analysts, reviewers, administrators\n" +
			"token ends    in 54m00s\n" +
			"signed in     1h00m ago\n" +
			"sign-in ends  in 2d2h\n"},
		{"whoami", 40, "" +
			"environment   staging\n" +
			"user          ana@example.com\n" +
			"sub\n" +
			"  7d1f2c34-0000-4000-8000-0123456789ab\n" +
			"e-mail        ana@example.com (not\n" +
			"              verified)\n" +
			"tenant_id     acme\n" +
			"groups        analysts, reviewers,\n" +
			"              administrators\n" +
			"token ends    in 54m00s\n" +
			"signed in     1h00m ago\n" +
			"sign-in ends  in 2d2h\n"},
	}
	for _, tt := range wants {
		var got string
		if tt.columns == 0 {
			var b bytes.Buffer
			if err := verbs[tt.verb](&b); err != nil {
				t.Fatal(err)
			}
			got = b.String()
		} else {
			p := terminaltest.New(t)
			p.Resize(tt.columns, 24)
			go func() { _ = verbs[tt.verb](p.TTY); _, _ = p.TTY.WriteString("the end") }()
			p.Sees("the end")
			got = strings.ReplaceAll(strings.TrimSuffix(p.Seen(), "the end"), "\r\n", "\n")
		}
		if got != tt.text {
			t.Errorf("%s in %d columns:\n%s\nwant\n%s", tt.verb, tt.columns, got, tt.text)
		}
	}
}
