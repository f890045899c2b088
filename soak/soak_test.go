package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpeer.Cleanup()
	os.Exit(code)
}

// testOptions are the options of a run in a test, with a new seed.
func testOptions(t *testing.T, duration, grace time.Duration, only ...string) options {
	bin := filepath.Dir(testpeer.Build(t, "kyc-agentd"))
	testpeer.Build(t, "kyc-token")
	return options{
		duration: duration, seed: uint64(time.Now().UnixNano()), grace: grace, life: tokenLife, only: only, bin: bin,
	}
}

// A minute of soak with each setting of the app client. The seed is in the output.
func TestSoak(t *testing.T) {
	testpeer.Long(t)
	for _, grace := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprint("grace ", grace), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := run(t.Context(), testOptions(t, time.Minute, grace), &out); err != nil {
				t.Errorf("%s%v", &out, err)
			}
		})
	}
}

// Somebody ends the sign-in at Cognito while a refresh runs. That is no documented loss, so
// the run fails, and its report says how it came to it.
func TestSoakFindsALoss(t *testing.T) {
	testpeer.Slow(t)
	var out bytes.Buffer
	o := testOptions(t, time.Minute, time.Minute, "revoked")
	err := run(t.Context(), o, &out)
	if err == nil {
		t.Fatalf("the run did not fail:\n%s", &out)
	}
	for _, want := range []string{
		"the sign-in is lost, and no documented loss explains it", "run: kyc-agentd login", "NotAuthorizedException",
		"The phases that led to this", "  1 revoked", fmt.Sprintf("make soak SEED=%d GRACE=1m0s", o.seed), `"msg":"ready"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report lacks %q:\n%v", want, err)
		}
	}
	for _, want := range []string{fmt.Sprintf("SEED=%d", o.seed), "FAILED", "| revoked ", "| kyc-token ", "documented losses: 0"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
}

func TestDrawRepeats(t *testing.T) {
	draw := func(seed uint64) string {
		var b strings.Builder
		s := &soak{opts: options{seed: seed, grace: time.Minute}, envs: []*environment{{name: "staging"}, {name: "prod"}}}
		all, _ := drawable(s.opts)
		for n := 1; n <= 200; n++ {
			p := s.draw(all, n, time.Hour)
			fmt.Fprintln(&b, p, p.env.name, p.between(0, time.Hour))
		}
		return b.String()
	}
	first, again := draw(1), draw(1)
	if first != again {
		t.Error("the same seed draws other phases")
	}
	if first == draw(2) {
		t.Error("another seed draws the same phases")
	}
	for _, k := range kinds {
		if drawn := strings.Contains(first, " "+k.name+" "); drawn != (k.weight > 0) {
			t.Errorf("%s has weight %d, drawn in 200: %t", k.name, k.weight, drawn)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	if err := run(t.Context(), options{only: []string{"kil"}}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "kill-in-call") {
		t.Errorf("got %v, want the kinds that there are", err)
	}
}
