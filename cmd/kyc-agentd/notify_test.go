package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// serviceManager listens as systemd does and returns the socket's path and what is
// received, in order.
func serviceManager(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

// shortDir is a folder whose path leaves room for a socket's name: 107 bytes in all.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kyc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestNotifyIsOneDatagram(t *testing.T) {
	path, next := serviceManager(t)
	newNotifier(environ{"NOTIFY_SOCKET=" + path}, 1).send("READY=1", "STATUS=ready")
	if got := next(); got != "READY=1\nSTATUS=ready" {
		t.Errorf("%q", got)
	}
}

func TestNotifyWithoutManager(t *testing.T) {
	notifier{}.send("READY=1")
	notifier{socket: "/nowhere/notify"}.send("READY=1")
}

func TestNotifierReadsTheManagersWishes(t *testing.T) {
	tests := []struct {
		vars environ
		want time.Duration
	}{
		{nil, 0},
		{environ{"WATCHDOG_USEC=30000000"}, 30 * time.Second},
		{environ{"WATCHDOG_USEC=30000000", "WATCHDOG_PID=7"}, 30 * time.Second},
		{environ{"WATCHDOG_USEC=30000000", "WATCHDOG_PID=8"}, 0}, // meant for another process
		{environ{"WATCHDOG_USEC=-1"}, 0},
		{environ{"WATCHDOG_USEC=x"}, 0},
	}
	for _, tt := range tests {
		if got := newNotifier(tt.vars, 7).watchdog; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.vars, got, tt.want)
		}
	}
}

// fed runs feed over fake time and returns when pings were sent, from the start.
func fed(t *testing.T, n notifier, run time.Duration, probe func(context.Context) error) (pings []time.Duration, failures int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), run)
		defer cancel()
		start := time.Now()
		n.feedTo(ctx, probe, func(string) { pings = append(pings, time.Since(start)) }, func(error) { failures++ })
	})
	return pings, failures
}

func TestWatchdogIsFedTwiceAnInterval(t *testing.T) {
	n := notifier{socket: "/x", watchdog: 30 * time.Second}
	pings, failures := fed(t, n, 40*time.Second, func(context.Context) error { return nil })
	if want := []time.Duration{0, 15 * time.Second, 30 * time.Second}; !reflect.DeepEqual(pings, want) || failures != 0 {
		t.Errorf("%v, %d failures", pings, failures)
	}
}

// A daemon that no longer answers must be left to starve: that is what the watchdog is for.
func TestWatchdogIsNotFedByADaemonThatHangs(t *testing.T) {
	n := notifier{socket: "/x", watchdog: 30 * time.Second}
	pings, failures := fed(t, n, 100*time.Second, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if len(pings) != 0 || failures < 5 {
		t.Errorf("%v, %d failures", pings, failures)
	}
}

func TestWatchdogIsFedAgainAfterAFailure(t *testing.T) {
	n := notifier{socket: "/x", watchdog: 10 * time.Second}
	calls := 0
	pings, failures := fed(t, n, 12*time.Second, func(context.Context) error {
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
	for _, n := range []notifier{{}, {socket: "/x"}, {watchdog: time.Second}} {
		n.feed(t.Context(), func(context.Context) error {
			t.Errorf("%+v probes", n)
			return nil
		}, nil)
	}
}

func TestChildrenCannotSpeakForTheDaemon(t *testing.T) {
	for _, name := range managersOwn {
		t.Setenv(name, "x")
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "/credentials")
	scrubEnvironment()
	for _, name := range managersOwn {
		if _, there := os.LookupEnv(name); there {
			t.Errorf("%s is still there", name)
		}
	}
	if os.Getenv("CREDENTIALS_DIRECTORY") == "" {
		t.Error("the store's key would not be found")
	}
}
