package tokensource_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/ipc/ipctest"
	"github.com/legaltalent/kyc-agent/ipc/tokensource"
)

// TestRefusalStandsStill holds that a 401 whose body has no end is not waited for: the request
// is sent again on another connection.
func TestRefusalStandsStill(t *testing.T) {
	for name, piece := range map[string]string{"at once": "", "after a piece": "no"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := ipctest.Listen()
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") == "Bearer token-1" {
						_, _ = io.WriteString(w, "yes")
						return
					}
					w.WriteHeader(http.StatusUnauthorized)
					_, _ = io.WriteString(w, piece)
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				})}
				go func() { _ = server.Serve(ln) }()
				defer server.Close()
				base := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.Dial(ctx) }}
				defer base.CloseIdleConnections()
				client := &http.Client{Transport: &tokensource.Transport{
					Source: tokensource.Source{Service: &script{apiURL: "http://localhost", life: time.Hour, newest: 1}}, Base: base,
				}}
				began := time.Now()
				resp, err := client.Post("http://localhost/kyc", "application/json", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusOK || string(body) != "yes" || err != nil || time.Since(began) > time.Second {
					t.Errorf("%s %q, %v after %s", resp.Status, body, err, time.Since(began))
				}
			})
		})
	}
}
