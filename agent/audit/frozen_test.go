package audit

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/testlog"
)

// A disk that takes no flush, as a frozen one: who needs a line is refused by their own deadline,
// people see why, and nobody else waits for it, a stop neither. When it answers again, all is well.
func TestFrozenDisk(t *testing.T) {
	for _, mode := range []Mode{Required, On} {
		synctest.Test(t, func(t *testing.T) {
			dir, log := t.TempDir(), new(testlog.Buffer)
			thawed := make(chan struct{})
			l := Open(Options{Dir: dir, Mode: mode, Logger: log.Logger(), sync: func(f *os.File) error { <-thawed; return f.Sync() }})
			record := func(limit time.Duration) (time.Duration, error) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				begun := time.Now()
				err := l.Record(ctx, token(1))
				return time.Since(begun), err
			}
			for range 3 {
				took, err := record(5 * time.Second)
				e, _ := errors.AsType[*agent.Error](err)
				if mode == On {
					if err != nil || took > 0 {
						t.Errorf("on: %v after %s", err, took)
					}
				} else if e == nil || took != 5*time.Second || e.Code != agent.CodeUnavailable ||
					!strings.Contains(e.Error(), "cannot be written: the disk has not answered since 0") || !strings.Contains(e.Hint, "dmesg") {
					t.Errorf("required: %v after %s", err, took)
				}
			}
			time.Sleep(stuckAfter)
			if st := l.Status(); !strings.Contains(st.Error, "the disk has not answered since") {
				t.Errorf("%s: the status says %+v", mode, st)
			}
			if n := strings.Count(log.String(), "has not answered"); mode == Required && n != 1 {
				t.Errorf("%d lines in the log: %s", n, log.String())
			}
			begun := time.Now()
			closing, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if mode == On {
				l.Close(closing, Event{Kind: Stop})
				if took := time.Since(begun); took != 2*time.Second {
					t.Errorf("a stop took %s", took)
				}
			}
			close(thawed)
			synctest.Wait()
			if _, err := record(5 * time.Second); err != nil {
				t.Errorf("%s: with a disk that answers: %v", mode, err)
			}
			l.Close(context.Background(), Event{Kind: Stop})
			if st := l.Status(); st.Error != "" {
				t.Errorf("%s: afterwards the status says %+v", mode, st)
			}
			if got := problems(t, dir, VerifyOptions{}); got != "" {
				t.Error(got)
			}
		})
	}
}
