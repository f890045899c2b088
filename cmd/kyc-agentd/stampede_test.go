package main

import (
	"sync"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// TestStampede starts 200 kyc-token at once on a cold session: one call at the
// Cognito, 200 equal tokens.
func TestStampede(t *testing.T) {
	srv := cognitotest.New()
	defer srv.Close()
	srv.AddUser(cognitotest.User{Name: "ada", Password: "Correct-horse-7"})
	s := newBinaries(t, srv.URL, srv.PoolID, srv.ClientID)
	s.fileStore()
	p := s.start()
	s.login("prod", "ada", "Correct-horse-7")
	p.stop()
	s.start()
	srv.ForgetCalls()
	srv.SetLatency(cognitotest.Refresh, 500*time.Millisecond)

	tokens := make([]string, 200)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			exit, out, errOut := s.run("", "kyc-token", "prod")
			if tokens[i] = out; exit != 0 {
				t.Errorf("kyc-token %d: exit %d: %s", i, exit, errOut)
			}
		})
	}
	wg.Wait()
	for i, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("kyc-token %d printed another token than the first, or none", i)
		}
	}
	if n := srv.Calls(cognitotest.Refresh); n != 1 {
		t.Errorf("%d refresh calls for %d requests at once", n, len(tokens))
	}
}
