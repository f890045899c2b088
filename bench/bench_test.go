package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestMain lets the test binary run as the baseline servers, as bench does.
func TestMain(m *testing.M) {
	if ranBaseline() {
		return
	}
	os.Exit(m.Run())
}

// TestMeasure runs every part once over, with too few samples to mean anything.
func TestMeasure(t *testing.T) {
	testpeer.Slow(t)
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	little := plan{repeats: 1, rounds: 2, starts: 1, slice: 20 * time.Millisecond, slices: 1, answers: 10, requests: 500}
	sections, err := measure(t.Context(), little, root, nil)
	if err != nil {
		t.Fatal(err)
	}
	report := render(machine(t.Context()), sections)
	for _, want := range []string{
		"| " + nameTrue, "| " + nameFloor, "|       ceiling |", "| start to READY=1 ", "| activation to the first answer ", "Most time: ", "| the standard library ", "| github.com/aws/aws-sdk-go-v2 ", "| all of them ", "RssAnon idle ", "| " + nameGo, "| " + nameToken, "| 256, a connection each time", "| status while Cognito needs 4s",
		"20 kyc-token at once on a cold session, while a refresh takes 0.5 s: 1 refresh at Cognito for all, 1 token",
		"200 kyc-token at once on a cold session, while a refresh takes 0.5 s: 1 refresh at Cognito for all, 1 token",
		"| after 500 requests", "| 16, a connection each time | required |", "| 256     |         kyc-agentd |", "| 256     | kyc-agentd, policy |", "| 256     |  kyc-agentd, paced |", "| 256     | ReverseProxy alone |", "with pacing it makes ", "To a single request the agent's proxy adds ",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if host, err := os.Hostname(); err == nil && len(host) > 3 && strings.Contains(report, host) {
		t.Errorf("the report names this machine:\n%s", report)
	}
	for _, s := range sections {
		for _, row := range s.rows {
			if len(row) != len(s.head) {
				t.Errorf("%s: a row of %d cells beneath %d", s.title, len(row), len(s.head))
			}
		}
	}
}

func TestQuantiles(t *testing.T) {
	var times timings
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := times.at(q); got != want {
			t.Errorf("at(%v) = %d, want %d", q, got, want)
		}
	}
	if got := timings(nil).median(); got != 0 {
		t.Errorf("median of nothing = %v", got)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	table(&b, []string{"what", "ms"}, [][]string{{"ä", "1.00"}, {"longer", "10.00"}})
	want := "| what   |    ms |\n|--------|------:|\n| ä      |  1.00 |\n| longer | 10.00 |\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestParseAnswer(t *testing.T) {
	const whole = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nx\n"
	for n := range len(whole) {
		if _, done, err := newCaller("", tokenOnce).parse([]byte(whole[:n])); done || err != nil {
			t.Errorf("%q: %v, %v", whole[:n], done, err)
		}
	}
	body, done, err := newCaller("", tokenOnce).parse([]byte(whole))
	if string(body) != "x\n" || !done || err != nil {
		t.Errorf("got %q, %v, %v", body, done, err)
	}
	const refused = "HTTP/1.0 401 No\r\nContent-Length: 0\r\n\r\n"
	if _, _, err := newCaller("", tokenOnce).parse([]byte(refused)); err == nil {
		t.Error("401 is accepted as 200")
	}
}

func TestPackageOf(t *testing.T) {
	for symbol, want := range map[string]string{
		"net/http.(*Client).Do": "net/http", "main.main": "main", "go:itab.*os.File,io.Reader": "os", "runtime.text": "runtime",
		"type:.eq.github.com/jackc/pgx/v5/pgconn.Config": "github.com/jackc/pgx/v5/pgconn", "gopkg.in/yaml%2ev3.Marshal": "gopkg.in/yaml.v3",
		"slices.Sort[go.shape.[]example.org/x.T]": "slices", "go:func.*": "go:func",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("%s: %q, want %q", symbol, got, want)
		}
	}
}
