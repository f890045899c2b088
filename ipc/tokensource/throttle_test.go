package tokensource_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/tokensource"
)

// A throttling API answers 429 so many times, and then 200.
type throttling struct {
	refusals int
	header   http.Header
	body     string
	got      []string // "token body"
}

func (a *throttling) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	a.got = append(a.got, strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")+" "+string(body))
	status, text := 200, "fine"
	if len(a.got) <= a.refusals {
		status, text = 429, a.body
	}
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

// After a 429 a request is sent once more, when the API says, if that is not too late.
func TestTransportAfter429(t *testing.T) {
	asks := func(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }
	for _, tt := range []struct {
		name     string
		api      throttling
		maxWait  time.Duration
		deadline time.Duration
		stream   bool
		status   int
		calls    int
		after    time.Duration
	}{
		{"once", throttling{refusals: 1, header: asks("20")}, 0, 0, false, 200, 2, 20 * time.Second},
		{"by the body", throttling{refusals: 1, body: `{"retry_after": 7}`}, 0, 0, false, 200, 2, 7 * time.Second},
		{"twice", throttling{refusals: 2, header: asks("20")}, 0, 0, false, 429, 2, 20 * time.Second},
		{"too long", throttling{refusals: 1, header: asks("31")}, 0, 0, false, 429, 1, 0},
		{"not too long", throttling{refusals: 1, header: asks("180")}, 5 * time.Minute, 0, false, 200, 2, 3 * time.Minute},
		{"never", throttling{refusals: 1, header: asks("1")}, -1, 0, false, 429, 1, 0},
		{"without a time", throttling{refusals: 1}, 0, 0, false, 429, 1, 0},
		{"a stream", throttling{refusals: 1, header: asks("1")}, 0, 0, true, 429, 1, 0},
		{"after the deadline", throttling{refusals: 1, header: asks("20")}, 0, 10 * time.Second, false, 429, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				var body io.Reader = strings.NewReader("x")
				if tt.stream {
					body = io.MultiReader(body)
				}
				req, err := http.NewRequestWithContext(ctx, "POST", "https://kyc.example/kyc", body)
				if err != nil {
					t.Fatal(err)
				}
				transport := &tokensource.Transport{Base: &tt.api, MaxWait: tt.maxWait}
				transport.Service = &script{apiURL: "https://kyc.example", life: time.Hour}
				begun := time.Now()
				resp, err := transport.RoundTrip(req)
				if err != nil || resp.StatusCode != tt.status || time.Since(begun) != tt.after {
					t.Fatalf("%v, %v after %s", resp, err, time.Since(begun))
				}
				if want := slices.Repeat([]string{"token-0 x"}, tt.calls); !slices.Equal(tt.api.got, want) {
					t.Errorf("the API got %q", tt.api.got)
				}
				text, err := io.ReadAll(resp.Body)
				if want := map[bool]string{true: "fine", false: tt.api.body}[tt.status == 200]; err != nil || string(text) != want {
					t.Errorf("body %q, %v", text, err)
				}
			})
		})
	}
}

// A client that goes away does not wait to the end.
func TestTransportStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		req, _ := http.NewRequestWithContext(ctx, "GET", "https://kyc.example/kyc", nil)
		api := &throttling{refusals: 1, header: http.Header{"Retry-After": {"20"}}}
		transport := &tokensource.Transport{Base: api}
		transport.Service = &script{apiURL: "https://kyc.example", life: time.Hour}
		begun := time.Now()
		resp, err := transport.RoundTrip(req)
		if fmt.Sprint(time.Since(begun)) != "3s" || err != nil || resp.StatusCode != 429 || len(api.got) != 1 {
			t.Errorf("%v, %v after %s, %d calls", resp, err, time.Since(begun), len(api.got))
		}
	})
}
