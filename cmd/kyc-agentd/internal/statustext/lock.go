package statustext

import (
	"cmp"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// lockedBy says what locked the agent.
var lockedBy = map[string]string{"idle": ", because nobody used it", "screen": ", with the screen", "suspend": ", before a suspend"}

// Lock describes the lock in lines: none if there is no passphrase and nothing that needs one.
func Lock(st agent.Status, now time.Time) (lines []string) {
	l := st.Lock
	if l == nil {
		return nil
	}
	switch {
	case l.Locked:
		line := "locked with your passphrase " + Time(l.Since, now) + lockedBy[l.Why] + "; run: kyc-agentd unlock"
		if l.Until.After(now) {
			line = "locked with your passphrase " + Time(l.Since, now) + "; no passphrase unlocks before " + Time(l.Until, now)
		}
		lines = append(lines, line)
		if names := signInByThemselves(st); names != "" {
			lines = append(lines, "not protected by the passphrase, because the password is in a file: "+names)
		}
	case l.Passphrase:
		lines = append(lines, "not locked; auto_lock: "+cmp.Or(autoLock(l.Auto), "never"))
	case autoLock(l.Auto) != "":
		lines = append(lines, "auto_lock is set, and there is no passphrase to lock with; run: kyc-agentd passphrase")
	}
	if l.Error != "" {
		lines = append(lines, "lock: "+sanitize.OneLine(l.Error))
	}
	return lines
}

func signInByThemselves(st agent.Status) string {
	var names []string
	for _, e := range st.Environments {
		if e.Unattended {
			names = append(names, sanitize.OneLine(e.Name))
		}
	}
	return strings.Join(names, ", ")
}

func autoLock(a agent.AutoLock) string {
	var when []string
	if a.IdleSeconds > 0 {
		when = append(when, "after "+Duration(time.Duration(a.IdleSeconds)*time.Second)+" without a request")
	}
	if a.OnScreenLock {
		when = append(when, "with the screen")
	}
	if a.OnSuspend {
		when = append(when, "before a suspend")
	}
	return strings.Join(when, ", ")
}
