package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

// A sign-in for a limited time ends after it, although the clock was set back.
func TestClockIsSetBackDuringALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Duration(0)
		s := &session{agent: &Agent{wallClock: func() time.Time { return time.Now().Add(-back) }}}
		s.signIn = &storedSignIn{until: time.Now().Add(time.Hour)}
		if s.overLocked() || s.leftLocked().Round(time.Second) != time.Hour {
			t.Errorf("at first %s are left", s.leftLocked())
		}
		back = 30 * 24 * time.Hour
		time.Sleep(59 * time.Minute)
		if s.overLocked() || s.leftLocked().Round(time.Second) != time.Minute {
			t.Errorf("after 59 minutes %s are left", s.leftLocked())
		}
		time.Sleep(time.Minute)
		if !s.overLocked() {
			t.Errorf("after an hour %s are left", s.leftLocked())
		}
		s.signIn = &storedSignIn{until: s.agent.now().Add(time.Hour)} // another sign-in, by the new clock
		if s.leftLocked().Round(time.Second) != time.Hour {
			t.Errorf("of the next one %s are left", s.leftLocked())
		}
	})
}
