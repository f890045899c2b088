package cognito

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

const (
	maxTries     = 3                // of one call
	triesTimeout = 10 * time.Second // no try begins later than this after the first
)

// withTries makes a call up to three times, as long as it fails only for the moment. The pause
// before the n-th repetition is between n/2 s and n/2 + 1/2 s, or as long as Cognito asks for.
func withTries[Out any](ctx context.Context, once func() (Out, *failure)) (Out, *failure) {
	started, mayBeDone := time.Now(), false
	for n := 1; ; n++ {
		out, fail := once()
		if fail != nil {
			fail.mayBeDone = mayBeDone
			mayBeDone = mayBeDone || fail.Status == 0 || fail.Status >= 500 // a throttled call was not made
		}
		if fail == nil || !fail.isMomentary() || n == maxTries {
			return out, fail
		}
		pause := max(fail.RetryAfter, time.Duration(n)*time.Second/2+rand.N(time.Second/2))
		if time.Since(started)+pause > triesTimeout {
			return out, fail
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return out, fail
		}
	}
}

// invokeWithTries is invoke, up to three times.
func invokeWithTries[Out any](ctx context.Context, o *operation, name string, f func(context.Context) (*Out, error)) (out *Out, x *awscall.Exchange, fail *failure) {
	out, fail = withTries(ctx, func() (out *Out, fail *failure) {
		out, x, fail = invoke(ctx, o, name, f)
		return out, fail
	})
	return out, x, fail
}

// isMomentary reports whether the same call may succeed a moment later: Cognito throttled it or
// had an internal error, or the connection failed before there was an answer. A call that was
// not answered in time does not count, because it may still be in progress at Cognito.
func (f *failure) isMomentary() bool {
	switch {
	case f.isUnknownCall():
		return false
	case f.Status >= 500:
		return true
	case f.Status == 0:
		return f.Stage == awscall.StageConnection && f.Cause == nil
	}
	return mappingOf(defaultMapping, f) == throttled
}
