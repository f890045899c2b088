package config

import (
	"fmt"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// AutoLock says when the agent locks by itself, as kyc-agentd lock does: auto_lock in config.toml,
// such as auto_lock = { idle = "4h", on_screen_lock = true, on_suspend = true }. It needs a
// passphrase, which kyc-agentd passphrase sets.
type AutoLock struct {
	// Idle is how long nobody may have asked the agent on its own socket: "4h". Requests for
	// the status and the metrics do not count. Default: it does not lock. From 1s to 30d.
	Idle IdleTime `toml:"idle"`
	// OnScreenLock is whether it locks with the screen of one of your sessions, as
	// systemd-logind knows it: true or false. Default false.
	OnScreenLock Bool `toml:"on_screen_lock"`
	// OnSuspend is whether it locks before the machine suspends, which waits for that:
	// true or false. Default false.
	OnSuspend Bool `toml:"on_suspend"`
}

// IdleTime is a time without requests.
type IdleTime = Text[idleKind]

type idleKind struct{}

const maxIdle = 30 * 24 * time.Hour

func (idleKind) check(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf(`bad duration %q; want one such as "4h" or "30m"`, s)
	}
	if d < time.Second || d > maxIdle {
		return fmt.Errorf("bad duration %q; want 1s to 720h", s)
	}
	return nil
}

// AutoLockConfig returns AutoLock for the agent's status.
func (c Config) AutoLockConfig() agent.AutoLock {
	return agent.AutoLock{
		IdleSeconds: int64(parseIdle(c.AutoLock.Idle.s).Seconds()), OnScreenLock: c.AutoLock.OnScreenLock.s == "true", OnSuspend: c.AutoLock.OnSuspend.s == "true",
	}
}

// parseIdle returns the idle time that was checked when it was read; 0 is none.
func parseIdle(s string) time.Duration {
	d, _ := time.ParseDuration(s)
	return d
}
