package daemon

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/internal/testsocket"
)

func TestNotifyIsOneDatagram(t *testing.T) {
	path, next := testsocket.ServiceManager(t)
	t.Setenv("NOTIFY_SOCKET", path)
	notify("READY=1", "STATUS=ready")
	if got := next(); got != "READY=1\nSTATUS=ready" {
		t.Errorf("%q", got)
	}
}

func TestNotifyWithoutManager(t *testing.T) {
	for _, socket := range []string{"", "/nowhere/notify"} {
		t.Setenv("NOTIFY_SOCKET", socket)
		notify("READY=1")
	}
}

// fed runs feed over fake time and returns when pings were sent, from the start.
func fed(t *testing.T, interval, run time.Duration, probe func(context.Context) error) (pings []time.Duration, failures int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), run)
		defer cancel()
		start := time.Now()
		feed(ctx, interval/2, probe, func() { pings = append(pings, time.Since(start)) }, func(error) { failures++ })
	})
	return pings, failures
}

func TestWatchdogIsFedTwiceAnInterval(t *testing.T) {
	pings, failures := fed(t, 30*time.Second, 40*time.Second, func(context.Context) error { return nil })
	if want := []time.Duration{0, 15 * time.Second, 30 * time.Second}; !reflect.DeepEqual(pings, want) || failures != 0 {
		t.Errorf("%v, %d failures", pings, failures)
	}
}

// A daemon that no longer answers must be left to starve: that is what the watchdog is for.
func TestWatchdogIsNotFedByADaemonThatHangs(t *testing.T) {
	pings, failures := fed(t, 30*time.Second, 100*time.Second, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if len(pings) != 0 || failures < 5 {
		t.Errorf("%v, %d failures", pings, failures)
	}
}

func TestWatchdogIsFedAgainAfterAFailure(t *testing.T) {
	calls := 0
	pings, failures := fed(t, 10*time.Second, 12*time.Second, func(context.Context) error {
		if calls++; calls == 2 {
			return errors.New("once")
		}
		return nil
	})
	if want := []time.Duration{0, 10 * time.Second}; !reflect.DeepEqual(pings, want) || failures != 1 {
		t.Errorf("%v, %d failures", pings, failures)
	}
}

func TestWatchdogIsOffWhereNobodyAsksForIt(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"no manager":                 {"WATCHDOG_USEC": ""},
		"another process is meant":   {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
		"a wish that makes no sense": {"WATCHDOG_USEC": "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range set {
				t.Setenv(k, v)
			}
			feedWatchdog(t.Context(), func(context.Context) error {
				t.Error("probed")
				return nil
			}, func(error) {})
		})
	}
}
