package cognitolocal_test

import (
	"encoding/json"
	"net/http"
	"syscall"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitolocal"
)

// TestStart starts two emulators at once: each has its own port, answers when Start returns,
// and ends with its test.
func TestStart(t *testing.T) {
	var pids []int
	t.Run("two servers", func(t *testing.T) {
		for range 2 {
			srv := cognitolocal.Start(t, cognitolocal.Options{})
			pids = append(pids, srv.PID())
			res, err := http.Get(srv.Issuer() + "/.well-known/jwks.json")
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []map[string]any }
			if err := json.NewDecoder(res.Body).Decode(&set); err != nil || len(set.Keys) != 1 {
				t.Errorf("JWK set: %v, %v", set, err)
			}
			_ = res.Body.Close()
		}
	})
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d outlived its test", pid)
		}
	}
}
