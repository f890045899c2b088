package cognito_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

const poolID = "us-east-2_cognitote"

// aws is the public side of a pool: its API at any host of AWS, and its signing keys at the hosts
// of its issuers.
type aws struct {
	srv     *cognitotest.Server
	issuers []string // that publish keys; the others answer HTTP 403

	mu    sync.Mutex
	asked []string // the hosts of the API and of the keys, in order
}

func (p *aws) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r.URL.Host)
	p.mu.Unlock()
	if issuer, isKeys := strings.CutSuffix(r.URL.String(), "/.well-known/jwks.json"); isKeys && !slices.Contains(p.issuers, issuer) {
		answer := httptest.NewRecorder()
		answer.WriteHeader(http.StatusForbidden)
		return answer.Result(), nil
	}
	local := r.Clone(r.Context())
	local.URL.Scheme, local.URL.Host, local.Host = "http", hostOf(p.srv), ""
	return p.srv.Client().Transport.RoundTrip(local)
}

func original(region string) string {
	return "https://cognito-idp." + region + ".amazonaws.com/" + poolID
}

func updated(region string) string {
	return "https://issuer-cognito-idp." + region + ".amazonaws.com/" + poolID
}

// A pool has two issuers, and a replica or another endpoint does not add any. The keys of the
// issuer that a token names are fetched, and no others: a pool publishes none at the other.
func TestIssuers(t *testing.T) {
	tests := []struct {
		name             string
		region, endpoint string
		iss              string
	}{
		{"original", "us-east-2", "", original("us-east-2")},
		{"updated", "us-east-2", "", updated("us-east-2")},
		{"replica that names its region", "us-west-2", "", original("us-west-2")},
		{"replica that names the pool's region", "us-west-2", "", original("us-east-2")},
		{"replica, updated", "us-west-2", "", updated("us-east-2")},
		{"FIPS", "us-east-2", "https://cognito-idp-fips.us-east-2.amazonaws.com", original("us-east-2")},
		{"FIPS, updated", "us-east-2", "https://cognito-idp-fips.us-east-2.amazonaws.com", updated("us-east-2")},
		{"VPC", "us-east-2", "https://vpce-0a1b-2c3d.cognito-idp.us-east-2.vpce.amazonaws.com", original("us-east-2")},
		{"dual stack", "us-east-2", "https://cognito-idp.us-east-2.api.aws", updated("us-east-2")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pool := &aws{srv: start(t, cognitotest.TokenIssuer(test.iss)), issuers: []string{test.iss}}
			env := environment(pool.srv)
			env.Region, env.Endpoint = test.region, test.endpoint
			a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: pool}})
			g := signIn(t, a, env)
			if _, err := a.Refresh(t.Context(), env, g.SignIn, nobody); err != nil {
				t.Error(err)
			}
			if pool.srv.Calls(cognitotest.JWKS) != 1 || len(pool.asked) != 3 {
				t.Errorf("asked %q", pool.asked)
			}
		})
	}
}

// The administrator changes the issuer while users are signed in, and back.
func TestIssuerChanges(t *testing.T) {
	pool := &aws{srv: start(t, cognitotest.TokenIssuer(original("us-east-2"))), issuers: []string{original("us-east-2"), updated("us-east-2")}}
	env := environment(pool.srv)
	env.Endpoint = ""
	a := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: pool}})
	s := signIn(t, a, env).SignIn
	for _, iss := range []string{updated("us-east-2"), original("us-east-2"), updated("us-east-2")} {
		pool.srv.Set(cognitotest.TokenIssuer(iss))
		if _, err := a.Refresh(t.Context(), env, s, nobody); err != nil {
			t.Error(err)
		}
	}
	if n := pool.srv.Calls(cognitotest.JWKS); n != 2 {
		t.Errorf("%d fetches of keys, want one for each issuer", n)
	}
}

// A foreign issuer is a matter of the configuration, and the error says which one came. No keys are
// asked for.
func TestForeignIssuer(t *testing.T) {
	for name, edit := range map[string]func(*agent.Environment){
		"the defaults":          func(e *agent.Environment) { e.Endpoint = "" },
		"a configured issuer":   func(e *agent.Environment) { e.Endpoint, e.Issuer = "", updated("us-east-2") },
		"an endpoint of others": func(e *agent.Environment) { e.Endpoint = "https://cognito.example" },
		"a name like AWS's":     func(e *agent.Environment) { e.Endpoint = "https://cognito-idp.us-east-2.notamazonaws.com" },
	} {
		t.Run(name, func(t *testing.T) {
			const foreign = "https://cognito-idp.us-east-2.amazonaws.com/us-east-2_0ther"
			pool := &aws{srv: start(t, cognitotest.TokenIssuer(foreign)), issuers: []string{foreign}}
			env := environment(pool.srv)
			edit(&env)
			_, err := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: pool}}).Login(t.Context(), env, ada(), unasked(t))
			wantError(t, err, agent.CodeConfiguration, `found "`+foreign+`"`, "check user_pool_id, client_id, issuer")
			if pool.srv.Calls(cognitotest.JWKS) != 0 || pool.srv.LiveSignIns() != 0 {
				t.Errorf("%d fetches of keys, %d live sign-ins", pool.srv.Calls(cognitotest.JWKS), pool.srv.LiveSignIns())
			}
		})
	}
}

// A probe is content with the keys of either issuer.
func TestProbeOfAnUpdatedPool(t *testing.T) {
	pool := &aws{srv: start(t), issuers: []string{updated("us-east-2")}}
	env := environment(pool.srv)
	env.Endpoint = ""
	probe := cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: pool}}).Probe(t.Context(), env)
	if probe.Keys != nil {
		t.Error(probe.Keys.Err)
	}
	pool.issuers = nil
	if probe = cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: pool}}).Probe(t.Context(), env); probe.Keys == nil {
		t.Error("no problem, and there are no keys")
	}
}
