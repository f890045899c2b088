package packaging_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// A daemon that hangs is killed and started again.
func testWatchdog(s *service) {
	s.dropIn(serviceName, "[Service]\nWatchdogSec=500ms\nTimeoutAbortSec=100ms\n")
	s.login()
	pid := s.pid()
	s.kill(pid, syscall.SIGSTOP)
	s.await("a restart", func() bool { return s.property("NRestarts") == "1" })
	s.expectToken()
	if now := s.pid(); now == pid || now == 0 {
		s.t.Errorf("the process is %d, it was %d", now, pid)
	}
	s.await("the reason in the journal", func() bool {
		return strings.Contains(s.must("journalctl", "--user", "-u", serviceName), "Watchdog timeout")
	})
}

func (s *service) kill(pid int, signal syscall.Signal) {
	s.t.Helper()
	if pid == 0 { // it would be this process's own group
		s.t.Fatal("there is no daemon")
	}
	if err := syscall.Kill(pid, signal); err != nil {
		s.t.Fatal(err)
	}
}

// The service is restarted each time it is killed, even if that happens as often as the
// start limit allows within one interval. The unit explains the limit.
func testKilled(s *service) {
	s.login()
	for range 8 {
		s.kill(s.pid(), syscall.SIGKILL)
		s.expectTokenWithin(1)
	}
	s.expectProperty("NRestarts", "8")
	s.expectProperty("ActiveState", "active")
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
}

// expectTokenWithin checks that a client gets a token. It repeats the request so often
// while the failure is temporary.
func (s *service) expectTokenWithin(retries int) {
	s.t.Helper()
	got := s.run("", "kyc-token")
	for ; retries > 0 && got.exit == 75; retries-- {
		got = s.run("", "kyc-token")
	}
	if got.exit != 0 {
		s.t.Errorf("kyc-token: %+v", got)
	}
}

// testCrash kills the daemon while clients are busy. A request that it was handling fails
// temporarily (75) and succeeds when it is repeated; all others wait in the socket's
// backlog. The sign-in survives each kill.
func testCrash(s *service) {
	const clients, deaths = 50, 5
	s.dropIn(serviceName, "[Unit]\nStartLimitIntervalSec=0\n")
	s.login()
	ctx, stop := context.WithCancel(s.t.Context())
	var all sync.WaitGroup
	var calls, retried atomic.Int64
	answered := make([]atomic.Int64, clients)
	for i := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				got := s.run("", "kyc-token")
				if got.exit == 75 {
					retried.Add(1)
					got = s.run("", "kyc-token")
				}
				if got.exit != 0 {
					s.t.Errorf("client %d, after %d answers: %+v", i, answered[i].Load(), got)
				}
				calls.Add(1)
				answered[i].Add(1)
			}
		})
	}
	var slowest time.Duration
	for range deaths {
		s.awaitEach(answered)
		pid, began := s.pid(), time.Now()
		s.kill(pid, syscall.SIGKILL)
		s.expectTokenWithin(1)
		slowest = max(slowest, time.Since(began))
		s.await("the restart", func() bool { return s.property("SubState") == "running" })
		if s.pid() == pid {
			s.t.Fatal("the same process still runs")
		}
	}
	s.awaitEach(answered)
	stop()
	all.Wait()
	s.t.Logf("%d kills with %d clients: %d calls, %d repeated; serving again after %s at most",
		deaths, clients, calls.Load(), retried.Load(), slowest.Round(time.Millisecond))
	if n := s.cognito.SignIns(); n != 1 || retried.Load() > clients*deaths {
		s.t.Errorf("%d sign-ins, %d calls repeated", n, retried.Load())
	}
	s.expectProperty("NRestarts", "5")
}

// awaitEach waits until every client has got two more answers: the first one may have been
// sent before.
func (s *service) awaitEach(answered []atomic.Int64) {
	s.t.Helper()
	before := make([]int64, len(answered))
	for i := range answered {
		before[i] = answered[i].Load()
	}
	s.await("answers for all", func() bool {
		for i := range answered {
			if answered[i].Load() < before[i]+2 {
				return false
			}
		}
		return true
	})
}

// A stop waits for a running refresh. Here the old refresh token is invalid as soon as
// there is a new one, so losing the new one would end the sign-in.
func testStopInMidRefresh(s *service) {
	s.cognito.Set(cognitotest.Rotation(0))
	s.login()
	s.systemctl("restart", serviceName) // it has no ID token now
	before := s.cognito.Calls(cognitotest.Refresh)
	s.cognito.FailNext(cognitotest.Refresh, 1, cognitotest.Hang().After())
	asked := make(chan outcome, 1)
	go func() { asked <- s.run("", "kyc-token") }()
	if err := s.cognito.WaitCalls(s.t.Context(), cognitotest.Refresh, before+1); err != nil {
		s.t.Fatal(err)
	}
	s.systemctl("stop", "--no-block", serviceName)
	s.await("the stop", func() bool { return s.property("ActiveState") == "deactivating" })
	s.cognito.Release()
	if got := <-asked; got.exit != 0 || !strings.HasPrefix(got.out, "eyJ") {
		s.t.Errorf("the request during the stop: %+v", got)
	}
	s.await("the end", func() bool { return s.property("ActiveState") == "inactive" })
	s.expectProperty("Result", "success")
	s.expectToken()
	if n := s.cognito.SignIns(); n != 1 {
		s.t.Errorf("%d sign-ins", n)
	}
}

// limitStarts lets systemd give up after ten starts, however long one takes.
const limitStarts = "[Unit]\nStartLimitIntervalSec=60\n"

// Without its program or its unit the agent cannot start. No client hangs, every client
// gets an error, the doctor finds which half is missing, and its hint corrects it.
func testHalfInstalled(s *service) {
	s.login()
	s.dropIn(serviceName, limitStarts)
	program, unit := atHome(".local/bin/kyc-agentd"), atHome(units+serviceName)
	for half, c := range map[string]struct{ path, finding, status string }{
		"no program": {program, "units.binary", "starts " + program + ", which is not there"},
		"no unit":    {unit, "units.half", socketName + " is installed and " + serviceName + " is not"},
	} {
		s.must("cp", program, atHome("doctor"))
		s.must("mv", c.path, atHome("kept"))
		s.systemctl("daemon-reload")
		if pid := s.agent(); pid != 0 {
			s.kill(pid, syscall.SIGKILL)
		}
		s.await("the end of the socket", func() bool {
			got := s.run("", "kyc-token")
			if got.exit != 69 && got.exit != 75 {
				s.t.Fatalf("%s: kyc-token: %+v", half, got)
			}
			return got.exit == 69
		})
		if got := s.run("", "kyc-token"); got.exit != 69 || !strings.HasSuffix(got.err, restartSocket) {
			s.t.Errorf("%s: kyc-token: %+v", half, got)
		}
		if got := s.run("", atHome("doctor"), "status"); got.exit != 69 || !strings.Contains(got.err, c.status) {
			s.t.Errorf("%s: status: %+v", half, got)
		}
		s.expectDoctor(2, atHome("doctor"), c.finding)

		s.must("mv", atHome("kept"), c.path)
		s.systemctl("daemon-reload")
		s.systemctl("reset-failed", serviceName, socketName)
		s.systemctl("start", socketName)
		s.expectToken()
	}
}

// agent returns the id of the process that answers, even if systemd does not know it; 0 if
// none does.
func (s *service) agent() int {
	s.t.Helper()
	var st struct{ PID int }
	if got := s.run("", atHome("doctor"), "status", "--json"); json.Unmarshal([]byte(got.out), &st) != nil {
		return 0
	}
	return st.PID
}
