//go:build unix

package file_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/store"
	"github.com/legaltalent/kyc-agent/store/file"
)

const silent = "file store: the file system of /state does not answer"

// wantSilent checks that err, which came after took, is that of a file system that hangs.
func wantSilent(t *testing.T, err error, took, wantTook time.Duration) {
	t.Helper()
	wantError(t, err, silent)
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v wraps the wrong kinds", err)
	}
	if took != wantTook {
		t.Errorf("the error came after %v, want %v", took, wantTook)
	}
}

// One operation waits for a file system that hangs, no other begins meanwhile, and nobody
// waits for them longer than the limit. What is completed late is so before anything else.
func TestLaneOfAHungFileSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := file.LaneForTest("/state", 3*time.Second)
		release, order := make(chan struct{}), ""
		add := func(name string) func() error {
			return func() error { order += name; return nil }
		}
		start := time.Now()
		err := run(t.Context(), func() error { <-release; return add("1")() })
		wantSilent(t, err, time.Since(start), 3*time.Second)
		for range 3 {
			start = time.Now()
			wantSilent(t, run(t.Context(), add("never")), time.Since(start), 0)
		}
		close(release)
		synctest.Wait()
		if err := run(t.Context(), add("2")); err != nil || order != "12" {
			t.Errorf("the order is %q, %v; want 12", order, err)
		}
	})
}

// Who comes while an operation is slow waits for it, and no longer than for one.
func TestLaneWaitsForTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := file.LaneForTest("/state", 3*time.Second)
		start := time.Now()
		go func() { _ = run(t.Context(), func() error { time.Sleep(2 * time.Second); return nil }) }()
		synctest.Wait()
		failed := errors.New("failed")
		if err := run(t.Context(), func() error { return failed }); err != failed || time.Since(start) != 2*time.Second {
			t.Errorf("run = %v after %v", err, time.Since(start))
		}
		start = time.Now()
		go func() { _ = run(t.Context(), func() error { time.Sleep(2 * time.Second); return nil }) }()
		synctest.Wait()
		err := run(t.Context(), func() error { time.Sleep(2 * time.Second); return nil })
		wantSilent(t, err, time.Since(start), 3*time.Second)
		time.Sleep(time.Minute) // the goroutines end
	})
}

func TestLaneEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := file.LaneForTest("/state", 3*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := run(ctx, func() error { time.Sleep(2 * time.Second); return nil })
		if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "does not answer") {
			t.Errorf("run = %v, want the caller's cancellation", err)
		}
		if err := run(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}
