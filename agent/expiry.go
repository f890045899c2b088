package agent

import (
	"fmt"
	"time"
)

// A signInExpiry is when a sign-in ends for good: neither rotation nor a refresh extends
// it. The zero value means "unknown" or "never".
type signInExpiry struct {
	at       time.Time
	warnFrom time.Time // when to begin to warn a person: the last tenth
}

// expiryOf calculates the expiry from the time of the sign-in and the configured
// validity, because Cognito does not report it, or the limit that it was given. A sign-in that the agent makes by itself
// needs no warning.
func expiryOf(signIn *storedSignIn, env Environment) signInExpiry {
	if signIn == nil || signIn.issued.SignedInAt.IsZero() {
		return signInExpiry{}
	}
	if at := signIn.until; !at.IsZero() {
		return signInExpiry{at: at, warnFrom: at.Add(-at.Sub(signIn.issued.SignedInAt) / 10)}
	}
	if !signIn.apiKey.IsZero() {
		return signInExpiry{}
	}
	validity := env.RefreshTokenValidity
	if validity == 0 {
		validity = defaultRefreshTokenValidity
	}
	e := signInExpiry{at: signIn.issued.SignedInAt.Add(validity)}
	if env.Unattended == nil {
		e.warnFrom = e.at.Add(-validity / 10)
	}
	return e
}

// warning returns a line for a person, or "" if the end is not near.
func (e signInExpiry) warning(env string, now time.Time) string {
	if e.warnFrom.IsZero() || now.Before(e.warnFrom) {
		return ""
	}
	return fmt.Sprintf("%s: the sign-in ends %s; run: kyc-agentd login %s", env, formatRemaining(e.at.Sub(now)), env)
}

func formatRemaining(d time.Duration) string {
	switch {
	case d <= 0:
		return "any time now"
	case d < time.Hour:
		return fmt.Sprintf("in %dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("in %dh", d/time.Hour)
	default:
		return fmt.Sprintf("in %dd", d/(24*time.Hour))
	}
}
