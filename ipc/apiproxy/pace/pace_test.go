package pace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
)

const apiURL = "https://kyc.example"

func newPacer() *Pacer { return New(slog.New(slog.DiscardHandler)) }

// limits are the headers of an answer in a window that ends in d.
func limits(limit, remaining int, d time.Duration) http.Header {
	return http.Header{
		"X-Ratelimit-Limit":     {fmt.Sprint(limit)},
		"X-Ratelimit-Remaining": {fmt.Sprint(remaining)},
		"X-Ratelimit-Reset":     {fmt.Sprint(time.Now().Add(d).Unix())},
	}
}

func ok(h http.Header) *http.Response { return &http.Response{StatusCode: 200, Header: h} }

func tooMany(h http.Header, body string) *http.Response {
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: 429, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// send sends one request that is answered by res.
func send(t *testing.T, p *Pacer, res *http.Response) {
	t.Helper()
	turn, err := p.Acquire(t.Context(), Request{APIURL: apiURL})
	if err != nil {
		t.Fatal(err)
	}
	turn.Done(res)
}

// refusal returns how long a request without a wait is told to wait, 0 if it may be sent.
func refusal(t *testing.T, p *Pacer) time.Duration {
	t.Helper()
	turn, err := p.Acquire(t.Context(), Request{APIURL: apiURL})
	if err == nil {
		turn.Done(nil)
		return 0
	}
	e, _ := errors.AsType[*agent.Error](err)
	if e.Code != agent.CodeThrottled || e.RetryAfter <= 0 {
		t.Fatalf("refused with %v, %s, retry after %s", e, e.Code, e.RetryAfter)
	}
	return e.RetryAfter
}

func TestLearns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		res   func() *http.Response
		want  time.Duration
		slack time.Duration
	}{
		{"no headers", func() *http.Response { return ok(nil) }, 0, 0},
		{"something left", func() *http.Response { return ok(limits(1000, 2, 3*time.Minute)) }, 0, 0},
		{"nothing left", func() *http.Response { return ok(limits(1000, 0, 3*time.Minute)) }, 3 * time.Minute, time.Second},
		{"a reset that has passed", func() *http.Response { return ok(limits(1000, 0, -time.Minute)) }, 0, 0},
		{"a reset a year ahead", func() *http.Response { return ok(limits(1000, 0, 365*24*time.Hour)) }, maxPause, time.Second},
		{"429 by a header", func() *http.Response { return tooMany(http.Header{"Retry-After": {"20"}}, "") }, 20 * time.Second, 0},
		{"429 by a date", func() *http.Response {
			return tooMany(http.Header{"Retry-After": {time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}}, "")
		}, time.Minute, time.Second},
		{"429 by its body", func() *http.Response { return tooMany(nil, `{"error": "x", "retry_after": 180}`) }, 3 * time.Minute, 0},
		{"429 by its reset", func() *http.Response { return tooMany(limits(1000, 0, time.Minute), `{}`) }, time.Minute, 2 * time.Second},
		{"429 for a year", func() *http.Response { return tooMany(http.Header{"Retry-After": {"31536000"}}, "") }, maxPause, 0},
		{"429 without a word", func() *http.Response { return tooMany(nil, "<html>") }, time.Second, 0},
		{"429 for no time", func() *http.Response { return tooMany(http.Header{"Retry-After": {"0"}}, "") }, time.Second, 0},
		{"429 with nonsense", func() *http.Response { return tooMany(nil, `{"retry_after": -1e400}`) }, time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPacer()
				send(t, p, tt.res())
				got := refusal(t, p)
				if got < tt.want || got > tt.want+tt.slack {
					t.Fatalf("refused for %s, want %s", got, tt.want)
				}
				time.Sleep(got)
				if again := refusal(t, p); again != 0 {
					t.Errorf("refused for another %s", again)
				}
			})
		})
	}
}

// Numbers that make no sense are no limit.
func TestNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := limits(1000, 0, time.Minute)
		for _, name := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
			for _, value := range []string{"", "-1", "abc", "1.5", "1e3", "99999999999999999999", "0x10", "1 2"} {
				h := good.Clone()
				h.Set(name, value)
				p := newPacer()
				send(t, p, ok(h))
				if wait := refusal(t, p); wait != 0 {
					t.Errorf("%s: %q stops requests for %s", name, value, wait)
				}
			}
			h := good.Clone()
			h.Add(name, "0")
			p := newPacer()
			send(t, p, ok(h))
			if wait := refusal(t, p); wait != 0 {
				t.Errorf("%s twice stops requests for %s", name, wait)
			}
		}
	})
}

// The API's clock counts for the API's times.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := newPacer()
			h := limits(1000, 0, skew+time.Minute)
			h.Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
			send(t, p, ok(h))
			if wait := refusal(t, p); wait < time.Minute || wait > time.Minute+2*time.Second {
				t.Errorf("a clock %s ahead: refused for %s", skew, wait)
			}
		})
	}
}

// What is in flight is spent, and an answer of an earlier window says nothing about this one.
func TestInFlightAndOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		send(t, p, ok(limits(10, 2, time.Minute)))
		old := limits(10, 0, time.Minute)
		var turns []Turn
		for range 2 {
			turn, err := p.Acquire(t.Context(), Request{APIURL: apiURL})
			if err != nil {
				t.Fatal(err)
			}
			turns = append(turns, turn)
		}
		if refusal(t, p) == 0 {
			t.Error("a third request is sent, although two of two are in flight")
		}
		time.Sleep(62 * time.Second)
		send(t, p, ok(limits(10, 9, time.Minute)))
		turns[0].Done(ok(old))
		turns[1].Done(nil)
		if wait := refusal(t, p); wait != 0 {
			t.Errorf("the answer of the last window stops requests for %s", wait)
		}
	})
}

// All spellings of one server share its budget.
func TestOneBudgetForEachAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		send(t, p, ok(limits(10, 0, time.Minute)))
		for url, same := range map[string]bool{
			"https://KYC.example": true, "https://kyc.example:443/": true, "https://kyc.example/v2": true,
			"https://stg.example": false, "https://kyc.example:444": false, "http://kyc.example": false,
		} {
			_, err := p.Acquire(t.Context(), Request{APIURL: url})
			if (err != nil) != same {
				t.Errorf("%s: %v", url, err)
			}
		}
	})
}

func rate(t *testing.T, text string) agent.Rate {
	t.Helper()
	r, err := agent.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The smallest rate of the environments with one API holds, in any span of time, and a reload
// changes it for those that wait, too.
func TestConfiguredRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		p.Configure([]agent.Environment{
			{Name: "a", APIURL: apiURL + "/", APIRate: rate(t, "100/1m")},
			{Name: "b", APIURL: apiURL, APIRate: rate(t, "3/10s")},
			{Name: "c", APIURL: apiURL},
		})
		for range 3 {
			send(t, p, ok(nil))
			time.Sleep(2 * time.Second)
		}
		if wait := refusal(t, p); wait != 4*time.Second {
			t.Errorf("refused for %s, want 4s", wait)
		}
		if s := p.Status(); len(s) != 1 || s[0].Rate != "3/10s" || s[0].Limit != 3 || s[0].Remaining != 0 || !slices.Equal(s[0].Environments, []string{"a", "b", "c"}) {
			t.Errorf("status %+v", s)
		}
		begun := time.Now()
		got := make(chan time.Duration)
		go func() {
			_, err := p.Acquire(t.Context(), Request{APIURL: apiURL, Wait: time.Hour})
			if err != nil {
				t.Error(err)
			}
			got <- time.Since(begun)
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		p.Configure([]agent.Environment{{Name: "a", APIURL: apiURL}})
		if waited := <-got; waited != time.Second {
			t.Errorf("sent after %s; the rate was taken away after 1s", waited)
		}
	})
}

// A queue of n waiting requests, each of which notes when it has its turn.
type queueTest struct {
	p    *Pacer
	mu   sync.Mutex
	turn []string
	wg   sync.WaitGroup
}

// add makes a request wait under a name.
func (q *queueTest) add(ctx context.Context, t *testing.T, name string, r Request) {
	r.APIURL = apiURL
	q.wg.Go(func() {
		turn, err := q.p.Acquire(ctx, r)
		if err != nil {
			return
		}
		q.mu.Lock()
		q.turn = append(q.turn, name)
		q.mu.Unlock()
		turn.Done(ok(nil))
	})
	synctest.Wait()
}

// Sockets take turns, on each its processes, and a process's requests keep their order.
func TestFairOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queueTest{p: newPacer()}
		q.p.Configure([]agent.Environment{{Name: "a", APIURL: apiURL, APIRate: rate(t, "1/1s")}})
		send(t, q.p, ok(nil))
		for i := range 4 {
			q.add(t.Context(), t, fmt.Sprint("bulk", i), Request{Wait: time.Minute, Client: Client{PID: 1}})
		}
		for i := range 2 {
			q.add(t.Context(), t, fmt.Sprint("ai", i), Request{Wait: time.Minute, Client: Client{Socket: "ai", PID: 7 + i}})
		}
		q.add(t.Context(), t, "shell", Request{Wait: time.Minute, Client: Client{PID: 2}})
		q.add(t.Context(), t, "again", Request{Wait: time.Minute, Client: Client{PID: 1}, Again: true})
		q.wg.Wait()
		if got := strings.Join(q.turn, " "); got != "again ai0 shell ai1 bulk0 bulk1 bulk2 bulk3" {
			t.Errorf("order: %s", got)
		}
	})
}

// A named socket's share stops that socket alone.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		p.SetShare("ai", rate(t, "1/10s"))
		ai := Request{APIURL: apiURL, Client: Client{Socket: "ai"}}
		if _, err := p.Acquire(t.Context(), ai); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Acquire(t.Context(), ai); !errors.Is(err, agent.CodeThrottled) {
			t.Errorf("a second one: %v", err)
		}
		if wait := refusal(t, p); wait != 0 {
			t.Errorf("another socket is refused for %s", wait)
		}
		begun := time.Now()
		ai.Wait = time.Minute
		if _, err := p.Acquire(t.Context(), ai); err != nil || time.Since(begun) != 10*time.Second {
			t.Errorf("waited %s: %v", time.Since(begun), err)
		}
	})
}

// The queue is bounded, forgets clients that hang up, and ends when the agent stops.
func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		send(t, p, ok(limits(10, 0, 5*time.Minute)))
		hangUp, cancel := context.WithCancel(t.Context())
		stopping := make(chan struct{})
		errs := make(chan error, 10_000)
		for i := range 10_000 {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = hangUp
			}
			go func() {
				_, err := p.Acquire(ctx, Request{APIURL: apiURL, Wait: time.Minute, Stopping: stopping, Client: Client{PID: i % 100}})
				errs <- err
			}()
		}
		synctest.Wait()
		if got := p.Status()[0].Waiting; got != maxQueued || len(errs) != 10_000-maxQueued {
			t.Errorf("%d wait, %d were refused", got, len(errs))
		}
		for range 10_000 - maxQueued {
			if err := <-errs; !errors.Is(err, agent.CodeThrottled) || !strings.Contains(err.Error(), "too many requests wait already") {
				t.Fatal(err)
			}
		}
		cancel()
		synctest.Wait()
		if got := p.Status()[0].Waiting; got > maxQueued*6/10 || got == 0 {
			t.Errorf("%d still wait", got)
		}
		close(stopping)
		synctest.Wait()
		if s := p.Status()[0]; s.Waiting != 0 || s.InFlight != 0 || p.total != 0 || len(p.queued) != 0 || p.held != 0 || p.budgetLocked(apiURL).queue.sockets.Len() != 0 {
			t.Errorf("left behind: %+v, %d, %v", s, p.total, p.queued)
		}
	})
}

func TestHeldBytesAndNamedSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		send(t, p, ok(limits(10, 0, 5*time.Minute)))
		q := &queueTest{p: p}
		for range maxQueuedNamed {
			q.add(t.Context(), t, "", Request{Wait: time.Second, Client: Client{Socket: "ai"}})
		}
		_, err := p.Acquire(t.Context(), Request{APIURL: apiURL, Wait: time.Second, Client: Client{Socket: "ai"}})
		if err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("one more on a named socket: %v", err)
		}
		q.add(t.Context(), t, "", Request{Wait: time.Second, Held: maxHeld})
		_, err = p.Acquire(t.Context(), Request{APIURL: apiURL, Wait: time.Second, Held: 1})
		if err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("one more byte: %v", err)
		}
		q.wg.Wait()
		if p.held != 0 {
			t.Errorf("%d bytes are counted", p.held)
		}
	})
}

// A client that cannot be watched is looked at.
func TestHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		send(t, p, ok(limits(10, 0, time.Minute)))
		begun := time.Now()
		_, err := p.Acquire(t.Context(), Request{APIURL: apiURL, Wait: time.Hour, HungUp: func() bool { return time.Since(begun) > 3*time.Second }})
		if !errors.Is(err, agent.CodeUnavailable) || time.Since(begun) > 5*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// Those who wait go before those who do not, and no more than may be sent are sent.
func TestWaitingGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		send(t, p, ok(limits(2, 0, time.Minute)))
		var granted, refused atomic.Int32
		answered := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				turn, err := p.Acquire(t.Context(), Request{APIURL: apiURL, Wait: 65 * time.Second})
				if err != nil {
					refused.Add(1)
					return
				}
				granted.Add(1)
				<-answered
				turn.Done(ok(nil))
			})
		}
		time.Sleep(time.Minute + time.Second) // the window ends now
		if refusal(t, p) == 0 {
			t.Error("a request that did not wait went before those that did")
		}
		time.Sleep(10 * time.Second)
		if granted.Load() != 2 || refused.Load() != 1 {
			t.Errorf("%d of 3 had a turn, %d did not; the window has 2", granted.Load(), refused.Load())
		}
		close(answered)
		wg.Wait()
	})
}

// The log warns once that most of a limit is used, and once that all is.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		p := New(slog.New(slog.NewTextHandler(&log, nil)))
		for remaining := 9; remaining >= 0; remaining-- {
			send(t, p, ok(limits(10, remaining, time.Minute)))
		}
		text := log.String()
		if strings.Count(text, "four fifths") != 1 || strings.Count(text, "is used up") != 1 || strings.Count(text, "\n") != 2 ||
			!strings.Contains(text, "api="+apiURL+" limit=10 left=2 until=") {
			t.Errorf("the log:\n%s", text)
		}
	})
}

// The answers of 429 get the header that they lack, and keep the body.
func TestRetryAfterIsAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ have, body, want string }{
			{"", `{"retry_after": 180}`, "180"},
			{"", `{"retry_after": 3600}`, "3600"},
			{"", `{"retry_after": 0.2}`, "1"},
			{"", `{"retry_after": "20"}`, "20"},
			{"", "", "1"},
			{"7", `{"retry_after": 180}`, "7"},
		} {
			h := http.Header{}
			if tt.have != "" {
				h.Set("Retry-After", tt.have)
			}
			res := tooMany(h, tt.body)
			send(t, newPacer(), res)
			body, err := io.ReadAll(res.Body)
			if got := res.Header.Get("Retry-After"); got != tt.want || string(body) != tt.body || err != nil {
				t.Errorf("%q, %s: Retry-After %q, body %q, %v", tt.have, tt.body, got, body, err)
			}
		}
	})
}
