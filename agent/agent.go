package agent

import (
	"log/slog"
	"time"

	"github.com/legaltalent/kyc-agent/store"
)

// Config is what a reload can change.
type Config struct {
	Environments       []Environment
	DefaultEnvironment string
	RefreshMargin      time.Duration // 0 means 5 minutes
}

// Options is what an Agent is made of.
type Options struct {
	Authenticator Authenticator
	Store         store.Store
	Config        Config
	Logger        *slog.Logger     // nil discards
	Version       string           // shown by Status
	Now           func() time.Time // the wall clock; nil means time.Now
}
