package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

var updateReflexes = flag.Bool("update-reflexes", false, "write what comes into testdata/reflex.txt")

// varying is what differs from run to run in testdata/reflex.txt.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b(\d+d\d+h|\d+h\d\dm|\d+m\d\ds)\b`), "TIME"},
	{regexp.MustCompile(`\b(in|up) \d+s\b`), "$1 TIME"},
	{regexp.MustCompile(`\b\d+s ago\b`), "TIME ago"},
	{regexp.MustCompile(`process \d+`), "process PID"},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*Z"`), `"DATE"`},
	{regexp.MustCompile(`"expires_in":"\d+"`), `"expires_in":"N"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`), "SUB"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://COGNITO"},
	{regexp.MustCompile(`"(go|platform)": "[^"]*"`), `"$1": "…"`},
	{regexp.MustCompile(`run: systemctl --user \w+ kyc-agentd\.\w+ \(or: kyc-agentd serve\)`), "run: …"}, // as the machine is
	{regexp.MustCompile(`eyJ[\w.-]+`), "TOKEN"},
	{regexp.MustCompile(`(\S)  +`), "$1  "}, // the width of a column
}

// TestReflexes types each line of testdata/reflex.txt that begins with $ into a shell, and wants
// what is below it: stdout and stderr, and the exit code if it is not 0. What people know from
// gh, gcloud, aws, kubectl, vault and ssh-add either works or names the command to type.
func TestReflexes(t *testing.T) {
	h := newFixture(t)
	h.alsoProd()
	// At the end: that folder may have a kyc-agentd of another test, with another version.
	h.env = append(h.env, "PATH="+os.Getenv("PATH")+":"+filepath.Dir(testpeer.Build(t, "kyc-token")))
	h.cognito.AddUser(cognitotest.User{Name: "ben", Password: "battery staple", Email: "ben@example.com", Claims: map[string]any{
		"custom:tenant": "acme", "cognito:groups": []string{"admin", "readers"}, "name": "Ben \x1b[2JB",
	}})
	path := filepath.Join("testdata", "reflex.txt")
	table, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	var daemon *running
	typed := 0
	for line := range strings.Lines(string(table)) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			typed++
			got.WriteString(line + h.typed(strings.TrimSpace(command)))
		case strings.HasPrefix(line, "# the daemon starts"):
			daemon = h.daemon("--store", "memory")
			got.WriteString("\n" + line)
		case strings.HasPrefix(line, "# the daemon stops"):
			h.stop(daemon)
			got.WriteString("\n" + line)
		case strings.HasPrefix(line, "#"):
			got.WriteString("\n" + line)
		}
	}
	if *updateReflexes {
		if err := os.WriteFile(path, []byte(strings.TrimPrefix(got.String(), "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := strings.Split(string(table), "\n")
	for i, line := range strings.Split(strings.TrimPrefix(got.String(), "\n"), "\n") {
		if i >= len(want) || line != want[i] {
			t.Fatalf("line %d: got %q; all of it:\n%s", i+1, line, got.String())
		}
	}
	if typed < 40 {
		t.Errorf("only %d lines were typed", typed)
	}
}

// typed returns what a shell shows for command, without what varies.
func (h *fixture) typed(command string) string {
	h.t.Helper()
	got := h.run("", exec.CommandContext(h.t.Context(), "sh", "-c", command))
	text := strings.ReplaceAll(got.out+got.errOut, h.dir, "$RUN")
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.as)
	}
	if got.exit != exitOK {
		text += "[" + strconv.Itoa(got.exit) + "]\n"
	}
	return text
}
