// Package amplifyjs runs AWS Amplify's JavaScript clients, amazon-cognito-identity-js and
// @aws-amplify/auth, against the pools of cognitotest. They show that a pool behaves as AWS's
// own clients expect.
//
// Run runs the cases of a client and returns the result of each call of each case. Results
// reduces that to one word for each challenge and operation, for a table:
//
//	results := amplifyjs.Results(amplifyjs.Run(t, amplifyjs.Amplify))
//	fmt.Println(results["EMAIL_OTP"]) // "pass"; "" if the client has no such case
//
// If Node.js or the clients are missing, the test is skipped, or fails: see testpeer.
package amplifyjs

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A Client is a JavaScript client of Cognito.
type Client string

// The clients, by the names of their packages.
const (
	Identity Client = "amazon-cognito-identity-js"
	Amplify  Client = "@aws-amplify/auth"
)

var scripts = map[Client]string{Identity: "identity.cjs", Amplify: "amplify.cjs"}

// A Trace is the result of a case.
type Trace struct {
	Case   Case
	Server *cognitotest.Server // closed with the test
	User   cognitotest.User    // as it was before the case
	Calls  []Call              // in order
	Shown  []Shown             // in order
	End    string              // "ok", or the error that ended it: "Name: message"
}

// A Call is one call that the client made.
type Call struct {
	Name   string // operation, flow of InitiateAuth or challenge: "PASSWORD_VERIFIER"
	Result string // next challenge, "ok" or the error's code
}

// Shown is a session in the client's view, or the list of factors that it was offered.
type Shown struct {
	Name  string // "session" or "available"
	Value json.RawMessage
}

// A Session is what is shown as "session".
type Session struct {
	ID, Access map[string]any // claims
	Refresh    string
	Valid      *bool // in the client's view, if it has one
}

// Sessions returns the sessions shown, in order.
func (tr Trace) Sessions(t testing.TB) []Session {
	t.Helper()
	var list []Session
	for _, s := range tr.Shown {
		if s.Name != "session" {
			continue
		}
		var out Session
		if err := json.Unmarshal(s.Value, &out); err != nil {
			t.Fatal(err)
		}
		list = append(list, out)
	}
	return list
}

// String returns the calls, "NAME result" each, separated by commas.
func (tr Trace) String() string {
	list := make([]string, len(tr.Calls))
	for i, c := range tr.Calls {
		list[i] = c.Name + " " + c.Result
	}
	return strings.Join(list, ", ")
}

// Run runs all cases of a client, each against its own pool, and logs a line for each call:
// case, call and result, separated by tabs.
func Run(t testing.TB, client Client) []Trace {
	t.Helper()
	dir, node := testpeer.Npm(t)
	cases := Cases(client)
	traces, requests := make([]Trace, len(cases)), make([]map[string]any, len(cases))
	for i, c := range cases {
		traces[i] = c.open(t)
		requests[i] = traces[i].request()
	}
	input, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(testpeer.ModuleRoot(), "agent", "cognito", "cognitotest", "amplifyjs", "testdata", scripts[client])
	cmd := exec.CommandContext(t.Context(), node, script, dir)
	cmd.Stdin = bytes.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", client, err, output, stderr.String())
	}
	return sorted(t, client, traces, string(output))
}

// sorted puts each line of the output into the trace of its case.
func sorted(t testing.TB, client Client, traces []Trace, output string) []Trace {
	t.Helper()
	byName := map[string]*Trace{}
	for i := range traces {
		byName[traces[i].Case.Name] = &traces[i]
	}
	for line := range strings.Lines(output) {
		field := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(field) != 3 || byName[field[0]] == nil {
			t.Fatalf("%s printed %q", client, line)
		}
		tr := byName[field[0]]
		name, shown := strings.CutPrefix(field[1], "=")
		switch {
		case shown:
			tr.Shown = append(tr.Shown, Shown{name, json.RawMessage(field[2])})
			continue
		case name == "end":
			tr.End = field[2]
		default:
			tr.Calls = append(tr.Calls, Call{name, field[2]})
		}
		t.Logf("%s\t%s", client, strings.TrimSpace(line))
	}
	return traces
}

// Results returns, for every call in cases that ended without an error, whether it succeeded in
// one of them: "pass", or the code of its error. The keys are the names of the calls.
func Results(traces []Trace) map[string]string {
	results := map[string]string{}
	for _, tr := range traces {
		for _, c := range tr.Calls {
			switch {
			case tr.End != "ok":
			case !strings.HasSuffix(c.Result, "Exception"):
				results[c.Name] = "pass"
			case results[c.Name] == "":
				results[c.Name] = c.Result
			}
		}
	}
	return results
}
