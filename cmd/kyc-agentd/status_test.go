package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/terminal/terminaltest"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/store"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// A status with everything in it that status can say.
var fullStatus = agent.Status{
	Version: "v1.2.3", PID: 4711, StartedAt: noon.Add(-26 * time.Hour), UptimeSeconds: 26 * 3600, DefaultEnvironment: "staging",
	Store:   store.Info{Kind: "keyring", Detail: "gnome-keyring", Lasting: true},
	Network: map[string]string{"ca_file": "/etc/corp.pem", "proxy": "http://proxy.example:3128"},
	Environments: []agent.EnvironmentStatus{
		{Name: "dev", State: agent.StateAbsent},
		{
			Name: "prod", State: agent.StateIdle, Endpoints: map[string]string{"endpoint": "https://kyc.fips.example", "jwks_url": "https://keys.example\x1b[2J", "new": "x"},
			User: "ana@example.com", Degraded: true, SkewSeconds: -90.4,
			LastError: "prod: Cognito answered with HTTP 502\x1b[2J\nX", LastErrorAt: noon.Add(-2 * time.Minute), NextRefresh: noon.Add(40 * time.Second),
		},
		{Name: "qa", State: agent.StateRejected, User: "bob", LastError: "the sign-in has expired; run: kyc-agentd login qa", LastErrorAt: noon.Add(-49 * time.Hour), SkewSeconds: 30},
		{
			Name: "staging", State: agent.StateFresh, User: "ana@example.com", ExpiresAt: noon.Add(54*time.Minute + 10*time.Second), NextRefresh: noon.Add(49 * time.Minute), SkewSeconds: 45,
			SignInEndsAt: noon.Add(50 * time.Hour), Warning: "staging: the sign-in ends in 2d; run: kyc-agentd login staging",
		},
		{Name: "uat", State: agent.StateFresh, APIKey: true},
		{Name: "uat2", State: agent.StateAbsent, Unattended: true},
		{Name: "uat3", State: agent.StateIdle, User: "svc", Unattended: true, SignInEndsAt: noon.Add(29 * 24 * time.Hour)},
	},
	APIBudgets: []agent.APIBudget{
		{API: "https://kyc.example", Environments: []string{"prod", "uat"}, Limit: 1000, Remaining: 153, ResetsAt: noon.Add(171 * time.Second)},
		{
			API: "https://stg.kyc.example\x1b", Environments: []string{"staging"}, Rate: "900/5m", Limit: 900, ResetsAt: noon.Add(time.Minute), SpentUntil: noon.Add(2 * time.Minute),
			Waiting: 12, InFlight: 1, RefusedHere: 3, RefusedByAPI: 1,
		},
	},
	Sinks: []agent.SinkStatus{
		{Path: "/run/user/1000/kyc-agentd/staging.jwt", Environment: "staging", Format: "token", WrittenAt: noon.Add(-5 * time.Minute), ExpiresAt: noon.Add(54*time.Minute + 10*time.Second)},
		{Path: "/run/user/1000/kyc-agentd/qa.curl", Environment: "qa", Format: "curl", Error: "qa: the sign-in has expired; run: kyc-agentd login qa"},
	},
}

const fullText = `kyc-agentd v1.2.3, process 4711, up 1d2h; sign-ins are kept in the keyring (gnome-keyring)

ENVIRONMENT        STATE           USER             TOKEN EXPIRES  NEXT REFRESH  SIGN-IN ENDS
dev                absent          -                -              -             -
prod               idle, degraded  ana@example.com  -              in 40s        -
qa                 rejected        bob              -              -             -
staging (default)  fresh           ana@example.com  in 54m10s      in 49m00s     in 2d2h
uat                fresh           api key          -              -             -
uat2               absent          by itself        -              -             -
uat3               idle            svc (by itself)  -              -             in 29d0h

TOKEN FILE                             ENVIRONMENT  FORMAT  WRITTEN    TOKEN EXPIRES
/run/user/1000/kyc-agentd/staging.jwt  staging      token   5m00s ago  in 54m10s
/run/user/1000/kyc-agentd/qa.curl      qa           curl    -          -

https://kyc.example (prod, uat): 153 of 1000 requests left, more in 2m51s
https://stg.kyc.example? (staging): 0 of 900 requests left, more in 1m00s; the next is sent in 2m00s; api_rate 900/5m; 12 waiting; 4 answered 429

prod: endpoint https://kyc.fips.example, signing keys https://keys.example?[2J
network: proxy http://proxy.example:3128, CA certificates in /etc/corp.pem

prod: degraded, 2m00s ago: Cognito answered with HTTP 502?[2J X
prod: this machine's clock is 1m30s ahead; set it right
qa: last error, 2d1h ago: the sign-in has expired; run: kyc-agentd login qa
staging: the sign-in ends in 2d; run: kyc-agentd login staging
staging: this machine's clock is 45s behind; set it right
token file /run/user/1000/kyc-agentd/qa.curl: qa: the sign-in has expired; run: kyc-agentd login qa
`

func TestStatusTable(t *testing.T) {
	var out bytes.Buffer
	if err := writeStatus(&out, fullStatus, noon); err != nil {
		t.Fatal(err)
	}
	if out.String() != fullText {
		t.Errorf("got\n%s\nwant\n%s", out.String(), fullText)
	}
}

// On a narrow terminal nothing is broken in the midst of a word, and no table runs into the
// next line.
func TestStatusOnANarrowTerminal(t *testing.T) {
	p := terminaltest.New(t)
	p.Resize(40, 24)
	go func() { _ = writeStatus(p.TTY, fullStatus, noon); _, _ = p.TTY.WriteString("the end") }()
	p.Sees("the end")
	for _, want := range []string{"\r\nstaging (default)\r\n  state          fresh\r\n  user           ana@example.com\r\n  token expires  in 54m10s\r\n",
		"\r\nqa: last error, 2d1h ago: the sign-in\r\n  has expired; run: kyc-agentd login qa\r\n"} {
		if !strings.Contains(p.Seen(), want) {
			t.Errorf("no %q in:\n%s", want, p.Seen())
		}
	}
	for line := range strings.SplitSeq(p.Seen(), "\r\n") {
		if len(line) > 40 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%q", line)
		}
	}
}

// TestStatusIsClean holds that no text of a status, which any process that answers on the
// socket may have written, reaches the terminal as it is.
func TestStatusIsClean(t *testing.T) {
	const hostile = "\x1b]2;OWNED\a\r\n\u009b2J\u202e\u2028\xff\t"
	st := agent.Status{
		Network: map[string]string{"proxy": hostile, "ca_dir": hostile, hostile: hostile}, Sinks: make([]agent.SinkStatus, 1),
		Environments: []agent.EnvironmentStatus{{SkewSeconds: 90, Endpoints: map[string]string{"issuer": hostile}, AllowedHosts: make([]string, 1)}},
	}
	texts := 0
	var fill func(reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(hostile)
			texts++
		case reflect.Struct:
			for _, f := range v.Fields() {
				if f.CanSet() {
					fill(f)
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		}
	}
	fill(reflect.ValueOf(&st).Elem())
	var out bytes.Buffer
	if err := writeStatus(&out, st, noon); err != nil || texts < 18 {
		t.Fatalf("%d texts: %v", texts, err)
	}
	for line := range strings.SplitSeq(out.String(), "\n") {
		if sanitize.OneLine("<"+line+">") != "<"+line+">" {
			t.Errorf("%q", line)
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != 17 {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
}

func TestStatusThatCannotBeWritten(t *testing.T) {
	if writeStatus(brokenWriter{}, fullStatus, noon) == nil || writeJSON(brokenWriter{}, fullStatus) == nil {
		t.Error("no error")
	}
}

func TestStatusJSONIsTheWires(t *testing.T) {
	vars, a := newSocket(t)
	agenttest.Login(t, a, "prod")
	got := session{vars: vars}.run(t, "status", "--json")
	var st agent.Status
	if err := json.Unmarshal([]byte(got.out), &st); err != nil || got.exit != exitOK || got.errOut != "" {
		t.Fatalf("%+v: %v", got, err)
	}
	want, _ := a.Status(t.Context())
	st.UptimeSeconds, want.UptimeSeconds = 0, 0
	st.StartedAt, want.StartedAt = time.Time{}, time.Time{}
	for i := range want.Environments {
		e := &want.Environments[i]
		e.SignedInAt, e.ExpiresAt, e.NextRefresh = e.SignedInAt.UTC().Round(0), e.ExpiresAt.UTC().Round(0), e.NextRefresh.UTC().Round(0)
		g := &st.Environments[i]
		for _, pair := range [][2]*time.Time{{&g.SignedInAt, &e.SignedInAt}, {&g.ExpiresAt, &e.ExpiresAt}, {&g.NextRefresh, &e.NextRefresh}, {&g.SignInEndsAt, &e.SignInEndsAt}} {
			if d := pair[0].Sub(*pair[1]).Abs(); d < time.Second { // the wire may round
				*pair[0] = *pair[1]
			}
		}
	}
	if !reflect.DeepEqual(st, want) {
		t.Errorf("got  %+v\nwant %+v", st, want)
	}
}

// A status is an answer, whatever it says.
func TestStatusSucceedsWhenNobodyIsSignedIn(t *testing.T) {
	vars, _ := newSocket(t)
	got := session{vars: vars}.run(t, "status")
	if got.exit != exitOK || !strings.Contains(got.out, "staging (default)  absent") || got.errOut != "" {
		t.Errorf("%+v", got)
	}
}
