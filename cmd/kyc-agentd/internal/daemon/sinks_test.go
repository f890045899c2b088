package daemon

import (
	"bytes"
	"encoding/base64"
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
		d.close(true)
		if took := time.Since(began); took != stopWithin {
			t.Errorf("closed within %s", took)
		}
		if p.Refreshes() == 0 || strings.Contains(log.String(), "cut off") {
			t.Errorf("%d refreshes\n%s", p.Refreshes(), log.String())
		}
		close(gone)
	})
}

// TestIssued checks which tokens mark a file as the agent's when nothing else does.
func TestIssued(t *testing.T) {
	d := &daemon{}
	d.environments.Store(&[]agent.Environment{{Name: "prod", Region: "us-east-2", UserPoolID: "us-east-2_A", ClientID: "client"}})
	jwt := func(claims string) string {
		return "eyJ." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	const issuer = `"iss":"https://cognito-idp.us-east-2.amazonaws.com/us-east-2_A"`
	for token, want := range map[string]bool{
		jwt(`{` + issuer + `,"aud":"client","token_use":"id"}`):                       true,
		jwt(`{` + issuer + `,"aud":"other","token_use":"id"}`):                        false,
		jwt(`{` + issuer + `,"client_id":"client","token_use":"access"}`):             false,
		jwt(`{"iss":"https://accounts.example.com","aud":"client","token_use":"id"}`): false,
		jwt(`{` + issuer + `,"aud":["client"],"token_use":"id"}`):                     false,
		"eyJ.not base64.c2ln": false, "eyJ": false, "sk_live_mine": false, "": false,
	} {
		if got := d.issued("prod", token); got != want {
			t.Errorf("%s: %t", token, got)
		}
	}
	if d.issued("staging", jwt(`{`+issuer+`,"aud":"client","token_use":"id"}`)) {
		t.Error("a token of another environment")
	}
}
