package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// TestKill is the proof of "a sign-in is never lost": with rotation on, the daemon
// is killed (SIGKILL) at a random instant of a refresh, over and over, and started
// again. With a grace period every sign-in survives. With none there is one gap
// that nothing on this side can close: Cognito has answered and the new refresh
// token is not on the disk yet; what falls into it is counted apart.
//
// KYC_KILL_ROUNDS sets the number of rounds; 25 by default, 500 in `make test-long`.
func TestKill(t *testing.T) {
	testpeer.Slow(t)
	rounds := killRounds(t, testpeer.Rounds(25, 500))
	for _, grace := range []time.Duration{0, time.Minute} {
		t.Run("grace "+grace.String(), func(t *testing.T) {
			t.Parallel()
			r := newKillRun(t, grace)
			// Go on until a kill fell on either side of Cognito's answer.
			for r.kills < rounds || r.oneSided() && r.kills < 10*rounds {
				r.round()
			}
			t.Logf("%d kills in mid-refresh: %d before Cognito's answer was on its way, %d after; %d sign-ins lost in the gap between answer and write, %d otherwise",
				r.kills, r.kills-r.answered, r.answered, r.lostInGap, r.lost)
			if r.lost > 0 || grace > 0 && r.lostInGap > 0 {
				t.Errorf("%d sign-ins lost, %d of them in the gap", r.lost+r.lostInGap, r.lostInGap)
			}
			if r.oneSided() {
				t.Error("the kills all fell on one side of Cognito's answer")
			}
		})
	}
}

// killRounds is KYC_KILL_ROUNDS, or usual where that is not set.
func killRounds(t *testing.T, usual int) int {
	s := os.Getenv("KYC_KILL_ROUNDS")
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

type killRun struct {
	*binaries
	t     *testing.T
	srv   *cognitotest.Server
	usual time.Duration // what a cold token takes, as measured by the rounds before

	kills, answered, lostInGap, lost int
}

func newKillRun(t *testing.T, grace time.Duration) *killRun {
	srv := cognitotest.New(cognitotest.Rotation(grace))
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: "ada", Password: "Correct-horse-7"})
	s := newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
	s.fileStore()
	p := s.start()
	s.login("prod", "ada", "Correct-horse-7")
	p.kill()
	return &killRun{binaries: s, t: t, srv: srv, usual: 20 * time.Millisecond}
}

func (r *killRun) oneSided() bool { return r.answered == 0 || r.answered == r.kills }

// round kills a cold daemon while it refreshes, and sees whether another one still
// has the sign-in.
func (r *killRun) round() {
	granted, before := r.srv.Refreshes(), r.record()
	p := r.start()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = r.client().Token(within(r.t, 10*time.Second), agent.TokenRequest{Environment: "prod"})
	}()
	<-time.After(rand.N(r.usual * 3 / 2))
	p.kill()
	<-asked
	r.kills++
	kept := r.record()
	r.ageMarker()

	p = r.start()
	began := time.Now()
	_, err := r.client().Token(within(r.t, 30*time.Second), agent.TokenRequest{Environment: "prod"})
	r.usual = (r.usual*7 + min(time.Since(began), time.Second)) / 8
	if err == nil {
		granted++ // this one
	}
	// Only now: Cognito may have worked on the killed daemon's request after the kill.
	answered := r.srv.Refreshes() > granted
	if answered {
		r.answered++
	}
	switch {
	case err == nil:
	case !errors.Is(err, agent.CodeLoginRequired):
		r.t.Fatal(err)
	default:
		if answered && kept == before {
			r.lostInGap++
		} else {
			r.lost++
		}
		r.login("prod", "ada", "Correct-horse-7")
	}
	p.kill()
}

// ageMarker makes the marker, if there is one, as old as if some seconds had passed. The next
// daemon would otherwise wait for them to pass, and so would each round.
func (r *killRun) ageMarker() {
	path := filepath.Join(r.dir, ".local", "state", "kyc-agent", "prod.refreshing")
	if _, err := os.Lstat(path); err != nil {
		return
	}
	if err := os.WriteFile(path, []byte(time.Now().Add(-5*time.Second).Format(time.RFC3339Nano)+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// record is the sign-in as it is on the disk, encrypted.
func (r *killRun) record() string {
	data, err := os.ReadFile(filepath.Join(r.dir, ".local", "state", "kyc-agent", "prod.age"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// TestKillWithoutDemand kills the daemon after Cognito has rotated the refresh token and before
// the answer arrives. The next daemon refreshes at once, although nobody asks: after the grace
// period the stored refresh token would be refused.
func TestKillWithoutDemand(t *testing.T) {
	testpeer.Slow(t)
	t.Parallel()
	r := newKillRun(t, time.Minute)
	marker := filepath.Join(r.dir, ".local", "state", "kyc-agent", "prod.refreshing")
	for range testpeer.Rounds(2, 50) {
		before, calls := r.record(), r.srv.Calls(cognitotest.Refresh)
		r.srv.FailNext(cognitotest.Refresh, 1, cognitotest.Hang().After())
		p := r.start()
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = r.client().Token(within(r.t, 10*time.Second), agent.TokenRequest{Environment: "prod"})
		}()
		if err := r.srv.WaitCalls(within(t, time.Minute), cognitotest.Refresh, calls+1); err != nil {
			t.Fatal(err)
		}
		awaitState(t, "the marker", func() bool { _, err := os.Stat(marker); return err == nil })
		p.kill()
		<-asked
		r.srv.Release()

		p = r.start()
		awaitState(t, "a new record that nobody asked for", func() bool { return r.record() != before })
		awaitState(t, "the marker to go", func() bool { _, err := os.Stat(marker); return errors.Is(err, os.ErrNotExist) })
		if _, err := r.client().Token(within(t, time.Minute), agent.TokenRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		p.kill()
	}
}

// awaitState waits until done, which looks at what another process does.
func awaitState(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx := within(t, time.Minute)
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("no sign of %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
