package agent

import (
	"fmt"
	"time"
)

// A signInEnd is when a sign-in ends for good: rotation and refreshes do not extend
// it. The zero value is "not known, or never".
type signInEnd struct {
	at   time.Time
	warn time.Time // from when on a person should know: the last tenth
}

// endOf is known from the time of the sign-in and the configured validity, for
// Cognito does not tell. A sign-in that the agent makes by itself needs no warning.
func endOf(k *kept, env Environment) signInEnd {
	if k == nil || k.SignedInAt.IsZero() || !k.apiKey.IsZero() {
		return signInEnd{}
	}
	validity := env.RefreshTokenValidity
	if validity == 0 {
		validity = DefaultRefreshTokenValidity
	}
	e := signInEnd{at: k.SignedInAt.Add(validity)}
	if env.Unattended == nil {
		e.warn = e.at.Add(-validity / 10)
	}
	return e
}

// warning is empty until the end is near.
func (e signInEnd) warning(env string, now time.Time) string {
	if e.warn.IsZero() || now.Before(e.warn) {
		return ""
	}
	return fmt.Sprintf("%s: the sign-in ends %s; run: kyc-agentd login %s", env, soon(e.at.Sub(now)), env)
}

func soon(d time.Duration) string {
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
