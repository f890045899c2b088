package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/examples/internal/testenv"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// paceClient is the variable that makes this test binary a client: its number, how many
// requests it sends, and their Prefer header.
const paceClient = "KYC_TEST_PACE_CLIENT"

// runPaceClient sends the requests one after the other through the agent, and prints how many
// answers had each status.
func runPaceClient() int {
	name, rest, _ := strings.Cut(os.Getenv(paceClient), " ")
	count, prefer, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(count)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "kyc-agentd", "agent.sock"))
	}}}
	answers := map[int]int{}
	for i := range n {
		req, _ := http.NewRequest("POST", fmt.Sprintf("http://staging/pace/%s/%d", name, i), strings.NewReader("{}"))
		if prefer != "" {
			req.Header.Set("Prefer", prefer)
		}
		res, err := client.Do(req)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		answers[res.StatusCode]++
	}
	_ = json.NewEncoder(os.Stdout).Encode(answers)
	return 0
}

// A paceTest is clients at an API with the documented limit, a minute of which is a second.
type paceTest struct {
	env *testenv.Env

	mu   sync.Mutex
	at   []time.Time // of the requests at the API
	next map[string]int
	// A client's requests have to arrive in their order.
	disorder []string
}

const (
	paceLimit  = 1000
	paceWindow = 5 * time.Second
)

func newPaceTest(t *testing.T) *paceTest {
	p := &paceTest{env: newSignedInEnv(t), next: map[string]int{}}
	p.env.API.Limit(paceLimit, paceWindow)
	p.env.API.Handle("POST /pace/{client}/{n}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }))
	p.env.API.Before(func(r *http.Request) {
		now := time.Now()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.at = append(p.at, now)
		parts := strings.Split(r.URL.Path, "/")
		if n, _ := strconv.Atoi(parts[3]); n < p.next[parts[2]] {
			p.disorder = append(p.disorder, r.URL.Path)
		} else {
			p.next[parts[2]] = n + 1
		}
	})
	return p
}

// run runs 4 clients, which send n requests each, and returns their answers.
func (p *paceTest) run(t *testing.T, n int, prefer string) map[int]int {
	t.Helper()
	var clients []*exec.Cmd
	var outs []*strings.Builder
	for i := range 4 {
		cmd := p.env.Command(t.Context(), os.Args[0])
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d %s", paceClient, i, n, prefer))
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		clients, outs = append(clients, cmd), append(outs, out)
	}
	all := map[int]int{}
	for i, cmd := range clients {
		var one map[int]int
		if err := cmd.Wait(); err != nil || json.Unmarshal([]byte(outs[i].String()), &one) != nil {
			t.Fatalf("client %d: %v: %s", i, err, outs[i])
		}
		for status, n := range one {
			all[status] += n
		}
	}
	return all
}

// apiAnswers counts the API's answers by status.
func (p *paceTest) apiAnswers() map[int]int {
	all := map[int]int{}
	for _, c := range p.env.API.Calls() {
		all[c.Status]++
	}
	return all
}

// TestPaceWithWait checks that four programs that together send more than the API allows see
// no 429. It logs how much time they lose, which a busy machine decides.
func TestPaceWithWait(t *testing.T) {
	p := newPaceTest(t)
	n := testpeer.Rounds(500, 2000)
	got := p.run(t, n, "wait=600")
	if got[200] != 4*n || len(got) != 1 {
		t.Errorf("the clients got %v, want %d answers of 200", got, 4*n)
	}
	if api := p.apiAnswers(); api[200] != 4*n || len(api) != 1 {
		t.Errorf("the API answered %v", api)
	}
	if len(p.disorder) > 0 {
		t.Errorf("out of order: %v", p.disorder)
	}
	// The first window ends on a full second; all but the last are waited for.
	first := p.at[0].Add(paceWindow).Truncate(time.Second).Sub(p.at[0])
	least := first + time.Duration(4*n/paceLimit-2)*paceWindow
	took := p.at[len(p.at)-1].Sub(p.at[0])
	t.Logf("%d requests of 4 clients: %s, the least possible time is %s: %.3f", 4*n, took, least, took.Seconds()/least.Seconds())
}

// TestPaceWithoutWait checks that no request is sent while the limit is used up, at an API
// whose firewall would block.
func TestPaceWithoutWait(t *testing.T) {
	p := newPaceTest(t)
	p.env.API.Firewall(true)
	const n = 1000
	got := p.run(t, n, "")
	if got[200] < paceLimit || got[200]+got[429] != 4*n || got[429] == 0 {
		t.Errorf("the clients got %v", got)
	}
	if api := p.apiAnswers(); api[200] != got[200] || len(api) != 1 {
		t.Errorf("the API answered %v, the clients got %v", api, got)
	}
}
