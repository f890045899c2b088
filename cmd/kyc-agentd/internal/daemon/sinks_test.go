package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
	"github.com/legaltalent/kyc-agent/agent/sink"
)

// A token file that cannot be removed, say on a server that is gone, takes nothing of the
// time that a running refresh has at the end.
func TestHungTokenFileAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prod.jwt")
	synctest.Test(t, func(t *testing.T) {
		p := agenttest.NewAuthenticator()
		var log bytes.Buffer
		gone := make(chan bool)
		d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil)), agent: agenttest.NewAgent(t, p)}
		d.sinks = sink.New(sink.Options{Token: d.token, Render: func(_ string, tok agent.Token, _ time.Time) ([]byte, error) {
			if tok.Environment != "" { // not the sample
				<-gone
			}
			return nil, errors.New("gone")
		}})
		agenttest.Login(t, d.agent, "prod")
		d.sinks.Configure([]sink.Sink{{Environment: "prod", Format: "token", Path: path, Mode: 0o600}})
		time.Sleep(56 * time.Minute)
		p.Set(func(r *agenttest.Rules) { r.Latency = 5 * time.Second })
		if _, err := d.agent.Token(t.Context(), agent.TokenRequest{Environment: "prod"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		d.close()
		if took := time.Since(began); took != stopWithin {
			t.Errorf("closed within %s", took)
		}
		if p.Refreshes() == 0 || strings.Contains(log.String(), "cut off") {
			t.Errorf("%d refreshes\n%s", p.Refreshes(), log.String())
		}
		close(gone)
	})
}
