package agent_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/agenttest"
)

func patterns(t *testing.T, texts ...string) (all []agent.PathPattern) {
	t.Helper()
	for _, text := range texts {
		p, err := agent.ParsePathPattern(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestPathPattern(t *testing.T) {
	for pattern, paths := range map[string]struct{ match, not []string }{
		"/": {[]string{"/"}, []string{"", "//", "/kyc", "/;", "/%20", "/.", "*"}},
		"/kyc": {[]string{"/kyc"}, []string{
			"/kyc/", "/KYC", "/kyc;x", "/kyc%3Bx", "/%6byc", "/%6Byc", "/%256byc", "/kyc%00", "/kyc%20", "/kyc.", "/kyc%2F", "/kyc/.", "/x/../kyc", "/./kyc",
			"//kyc", "/kyc//", "kyc", "/kyc%3Fx", "/kyc%23x", "/kyc\\", "/kyc%5C", "/kyc%", "/kyc%zz", "/kyc?x", "/kyc#x", "/k%79c",
		}},
		"/kyc/": {[]string{"/kyc/"}, []string{"/kyc", "/kyc//", "/kyc/x"}},
		"/kyc/watchlists/*": {[]string{
			"/kyc/watchlists/7", "/kyc/watchlists/a%20b", "/kyc/watchlists/n%C3%A4me", "/kyc/watchlists/x;y=1", "/kyc/watchlists/*", "/kyc/watchlists/a.b",
		}, []string{
			"/kyc/watchlists", "/kyc/watchlists/", "/kyc/watchlists/7/", "/kyc/watchlists/7/subjects", "/kyc/watchlists/..", "/kyc/watchlists/%2e%2e",
			"/kyc/watchlists/%252e%252e", "/kyc/watchlists/..;x", "/kyc/watchlists/;x", "/kyc/watchlists/%3Bx", "/kyc/watchlists/%253Bx", "/kyc/watchlists/%3Fx",
			"/kyc/watchlists/%23x", "/kyc/watchlists/%20", "/kyc/watchlists/+", "/kyc/watchlists/...", "/kyc/watchlists/7%2Fsubjects", "/kyc/watchlists/7%252Fsubjects",
			"/kyc/watchlists/7\\subjects", "/kyc/watchlists/7%5Csubjects", "/kyc/watchlists/7%EF%BC%8Fsubjects", "/kyc/watchlists/%E2%80%A5", "/kyc/watchlists/7%0a",
			"/kyc/watchlists/%c0%ae%c0%ae", "/kyc/watchlists/7%25252Fsubjects",
		}},
		"/*/x":     {[]string{"/a/x"}, []string{"//x", "/a/b/x", "/%20/x"}},
		"/a b/ä":   {[]string{"/a%20b/%C3%A4"}, []string{"/a+b/%C3%A4", "/a%20b/%c3%a4", "/a b/ä"}},
		"/kyc;v=1": {[]string{"/kyc;v=1"}, []string{"/kyc", "/kyc%3Bv=1"}},
	} {
		p := patterns(t, pattern)[0]
		for _, path := range paths.match {
			if !p.Match(path) {
				t.Errorf("%s does not match %q", pattern, path)
			}
		}
		for _, path := range paths.not {
			if p.Match(path) {
				t.Errorf("%s matches %q", pattern, path)
			}
		}
	}
	for _, bad := range []string{"", "kyc", "*", "/..", "/kyc/..", "/kyc/../x", "/./x", "//", "/a//b", "/kyc*", "/**", "/*a/x", "/a?b", "/a#b", "/%6b", "/a%2Fb", `/a\b`, "/a\n", "/..;x", "/\xff"} {
		if p, err := agent.ParsePathPattern(bad); err == nil || p.String() != "" {
			t.Errorf("%q is a pattern: %v", bad, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]agent.Rate{"60/1m": {60, time.Minute}, "1/1s": {1, time.Second}, "900/5m": {900, 5 * time.Minute}, "100000/24h": {100000, 24 * time.Hour}} {
		got, err := agent.ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %s %+v, %v", text, got, got, err)
		}
	}
	for _, bad := range []string{
		"", "60", "60/", "/1m", "0/1m", "-1/1m", "+1/1m", "1.5/1m", "1e3/1m", "60/1", "60/0s", "60/-1m", "60/1ms", "60/25h", "60/1m/1m", " 60/1m", "60 / 1m", "100001/1m",
		"99999999999999999999/1m", "60/minute", "0x10/1m", "6_0/1m",
	} {
		if got, err := agent.ParseRate(bad); err == nil || got != (agent.Rate{}) {
			t.Errorf("%q is the rate %v", bad, got)
		}
	}
}

// A rate holds in every span of its length, and not only on average.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
		r := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Rate: agent.Rate{Count: 3, Per: time.Minute}}.Restrict(a)
		var admitted []time.Time
		for range 1000 {
			_, err := r.Admit()
			if err == nil {
				admitted = append(admitted, time.Now())
				time.Sleep(7 * time.Second)
				continue
			}
			e, _ := err.(*agent.Error)
			if e.Code != agent.CodeThrottled || e.RetryAfter <= 0 || !strings.Contains(e.Error(), "3/1m") {
				t.Fatal(err)
			}
			time.Sleep(e.RetryAfter - 1)
			if _, err := r.Admit(); err == nil {
				t.Fatal("it was earlier than it said")
			}
			time.Sleep(time.Nanosecond)
		}
		for i := range len(admitted) - 3 {
			if span := admitted[i+3].Sub(admitted[i]); span < time.Minute {
				t.Errorf("4 requests in %s", span)
			}
		}
		if len(admitted) < 400 {
			t.Errorf("%d were admitted: too few", len(admitted))
		}
	})
}

func TestPolicyCheck(t *testing.T) {
	api := []agent.Access{agent.AccessAPI}
	staging := []string{"staging"}
	for name, test := range map[string]struct {
		policy agent.Policy
		want   string
	}{
		"all":                  {agent.Policy{Environments: staging, Allow: []agent.Access{"token", "aws", "api"}, Methods: []string{"GET", "POST"}, Paths: patterns(t, "/kyc")}, ""},
		"no environment":       {agent.Policy{Allow: api}, "environments is missing"},
		"environment twice":    {agent.Policy{Environments: []string{"staging", "staging"}, Allow: api}, `"staging" is listed twice`},
		"nothing allowed":      {agent.Policy{Environments: staging}, "allow is missing; want some of: token, aws, api"},
		"unknown":              {agent.Policy{Environments: staging, Allow: []agent.Access{"login"}}, `allow: unknown "login"; want some of: token, aws, api`},
		"upper case":           {agent.Policy{Environments: staging, Allow: []agent.Access{"API"}}, `allow: unknown "API"`},
		"allowed twice":        {agent.Policy{Environments: staging, Allow: []agent.Access{"api", "api"}}, `allow: "api" is listed twice`},
		"paths without api":    {agent.Policy{Environments: staging, Allow: []agent.Access{"token"}, Paths: patterns(t, "/kyc")}, `add "api" to allow`},
		"methods without api":  {agent.Policy{Environments: staging, Allow: []agent.Access{"aws"}, Methods: []string{"GET"}}, `add "api" to allow`},
		"lower case method":    {agent.Policy{Environments: staging, Allow: api, Methods: []string{"get"}}, `methods: bad method "get"; write GET`},
		"no method":            {agent.Policy{Environments: staging, Allow: api, Methods: []string{"TRACE"}}, `methods: bad method "TRACE"; want some of: GET`},
		"a method twice":       {agent.Policy{Environments: staging, Allow: api, Methods: []string{"GET", "GET"}}, `methods: "GET" is listed twice`},
		"an empty method":      {agent.Policy{Environments: staging, Allow: api, Methods: []string{""}}, `bad method ""`},
		"that for forwarding":  {agent.ForwardingPolicy("staging"), ""},
		"forwarding of nobody": {agent.ForwardingPolicy(), "environments is missing"},
	} {
		err := test.policy.Check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckAPI(t *testing.T) {
	policy := func(methods []string, paths ...string) agent.Policy {
		return agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Methods: methods, Paths: patterns(t, paths...)}
	}
	for name, test := range map[string]struct {
		policy                           agent.Policy
		environment, method, path, query string
		allowed                          bool
	}{
		"anything":               {policy(nil), "staging", "DELETE", "/x", "_method=PUT", true},
		"another environment":    {policy(nil), "prod", "GET", "/x", "", false},
		"no environment":         {policy(nil), "", "GET", "/x", "", false},
		"no api":                 {agent.ForwardingPolicy("staging"), "staging", "GET", "/x", "", false},
		"a method":               {policy([]string{"GET"}), "staging", "GET", "/x", "", true},
		"HEAD with GET":          {policy([]string{"GET"}), "staging", "HEAD", "/x", "", true},
		"no HEAD with POST":      {policy([]string{"POST"}), "staging", "HEAD", "/x", "", false},
		"no GET with HEAD":       {policy([]string{"HEAD"}), "staging", "GET", "/x", "", false},
		"another method":         {policy([]string{"GET"}), "staging", "POST", "/x", "", false},
		"a method in lower case": {policy([]string{"GET"}), "staging", "get", "/x", "", false},
		"a path":                 {policy(nil, "/kyc"), "staging", "POST", "/kyc", "x=/y", true},
		"the second path":        {policy(nil, "/kyc", "/x/*"), "staging", "POST", "/x/1", "", true},
		"another path":           {policy(nil, "/kyc"), "staging", "POST", "/kyc/1", "", false},
		"a method in the query":  {policy([]string{"POST"}), "staging", "POST", "/x", "a=1&_method=DELETE", false},
		"an escaped one":         {policy([]string{"POST"}), "staging", "POST", "/x", "%5Fmethod=DELETE", false},
		"one as a header":        {policy([]string{"POST"}), "staging", "POST", "/x", "a;X_HTTP_Method-Override=DELETE", false},
		"one with brackets":      {policy([]string{"POST"}), "staging", "POST", "/x", "_METHOD[]=DELETE", false},
		"a word like it":         {policy([]string{"POST"}), "staging", "POST", "/x", "method=fast&payment_method=card", true},
	} {
		err := test.policy.CheckAPI(test.environment, test.method, test.path, test.query)
		if (err == nil) != test.allowed || err != nil && agent.CodeOf(err) != agent.CodeDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIsOverride(t *testing.T) {
	for _, name := range []string{
		"X-HTTP-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X_HTTP_METHOD_OVERRIDE", "x-http_method-override", "X-Original-Uri",
		"X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Forwarded-Method", "X-Envoy-Original-Path", "X-Method", "Forwarded", "X-Original-Method", "X-Http-Destinationurl",
	} {
		if !agent.IsOverride(name) {
			t.Errorf("%s is kept", name)
		}
	}
	for _, name := range []string{"Accept", "Content-Type", "X-Request-Id", "X-Api-Version", "Idempotency-Key", "Traceparent", "X-Amz-Date", "Prefer", "Method"} {
		if agent.IsOverride(name) {
			t.Errorf("%s is taken for one", name)
		}
	}
}

// What each kind of access allows, in every combination.
func TestAccess(t *testing.T) {
	a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
	agenttest.Login(t, a, "staging")
	for bits := range 8 {
		var allow []agent.Access
		for i, access := range []agent.Access{agent.AccessToken, agent.AccessAWS, agent.AccessAPI} {
			if bits&(1<<i) != 0 {
				allow = append(allow, access)
			}
		}
		r := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: allow}.Restrict(a)
		_, token := r.Token(t.Context(), agent.TokenRequest{Environment: "staging"})
		_, aws := r.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "staging"})
		_, api := r.APIToken(t.Context(), agent.TokenRequest{Environment: "staging"})
		_, access := r.Token(t.Context(), agent.TokenRequest{Environment: "staging", Type: agent.TypeAccess})
		_, long := r.AWSCredentials(t.Context(), agent.TokenRequest{Environment: "staging", MinValid: agent.RestrictedMinValid + 1})
		_, prod := r.APIToken(t.Context(), agent.TokenRequest{Environment: "prod"})
		for what, got := range map[agent.Access]error{agent.AccessToken: token, agent.AccessAWS: aws, agent.AccessAPI: api} {
			if allowed := slices.Contains(allow, what); (agent.CodeOf(got) != agent.CodeDenied || got == nil) != allowed {
				t.Errorf("%s with %v: %v", what, allow, got)
			}
		}
		for _, err := range []error{access, long, prod, r.Denied("reload", "reloads")} {
			if agent.CodeOf(err) != agent.CodeDenied {
				t.Errorf("with %v: %v", allow, err)
			}
		}
	}
}

// TestRateRefund holds that what was refused or came to nothing leaves the rate as it was,
// whatever came in between.
func TestRateRefund(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agenttest.NewAgent(t, agenttest.NewAuthenticator())
		r := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}, Rate: agent.Rate{Count: 3, Per: time.Minute}}.Restrict(a)
		var refunds []func()
		for range 3 {
			refund, err := r.Admit()
			if err != nil {
				t.Fatal(err)
			}
			refunds = append(refunds, refund)
			time.Sleep(time.Second)
		}
		if _, err := r.Admit(); err == nil {
			t.Fatal("the fourth was admitted")
		}
		refunds[1]()
		if left, refused := r.RateState(); left != 1 || refused != 1 {
			t.Errorf("%d left, %d refused", left, refused)
		}
		if _, err := r.Admit(); err != nil {
			t.Error(err)
		}
		if _, err := r.Admit(); err == nil {
			t.Error("a refund counted twice")
		}
		time.Sleep(57 * time.Second) // a minute after the first
		if left, _ := r.RateState(); left != 1 {
			t.Errorf("%d left a minute after the first", left)
		}
		refunds[0]() // which is forgotten
		if left, _ := r.RateState(); left != 1 {
			t.Errorf("%d left after a late refund", left)
		}
	})
}
