package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

const goodSocket = "[[sockets]]\nname = 'ai'\nenvironments = ['staging']\nallow = ['api']\n"

func TestSockets(t *testing.T) {
	c, _, err := loadText(t, `
forward_environments = ["prod"]
[[sockets]]
name = "ci"
environments = ["staging", "prod"]
allow = ["token", "aws"]
[[sockets]]
name = "ai"
environments = ["staging"]
allow = ["api"]
methods = ["GET", "POST"]
paths = ["/kyc", "/kyc/watchlists/*"]
rate = "60/1m"
`)
	if err != nil {
		t.Fatal(err)
	}
	var paths []agent.PathPattern
	for _, text := range []string{"/kyc", "/kyc/watchlists/*"} {
		p, err := agent.ParsePathPattern(text)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	want := []agent.Policy{
		{
			Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI},
			Methods: []string{"GET", "POST"}, Paths: paths, Rate: agent.Rate{Count: 60, Per: time.Minute},
		},
		{Socket: "ci", Environments: []string{"staging", "prod"}, Allow: []agent.Access{agent.AccessToken, agent.AccessAWS}},
		{Socket: "extra", Environments: []string{"prod"}, Allow: []agent.Access{agent.AccessToken}},
	}
	if got := c.Policies(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if c, _, err := loadText(t, ""); err != nil || len(c.Policies()) > 0 {
		t.Errorf("%v, %v", c.Policies(), err)
	}
}

func TestSocketErrors(t *testing.T) {
	without := func(key string) string {
		var kept []string
		for line := range strings.Lines(goodSocket) {
			if !strings.HasPrefix(line, key) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	for name, test := range map[string]struct{ text, want string }{
		"no name":                {without("name"), `:1: sockets (no. 1, ""): name is missing`},
		"an empty name":          {without("name") + "name = ''", `:1: sockets (no. 1, ""): name is missing`},
		"a name that leaves":     {without("name") + "name = '../x'", `:4: sockets.name: bad name "../x"; a name is`},
		"a name of a folder":     {without("name") + "name = 'a/b'", `:4: sockets.name: bad name "a/b"`},
		"a name of dots":         {without("name") + "name = '..'", `:4: sockets.name: bad name ".."`},
		"an absolute name":       {without("name") + "name = '/tmp'", `:4: sockets.name: bad name "/tmp"`},
		"a name in capitals":     {without("name") + "name = 'AI'", `:4: sockets.name: bad name "AI"`},
		"a name with NUL":        {without("name") + `name = "a\u0000"`, `:4: sockets.name: bad name`},
		"a long name":            {without("name") + "name = '" + strings.Repeat("x", 64) + "'", `:4: sockets.name: bad name`},
		"two of a name":          {goodSocket + "\n" + goodSocket, `:6: sockets (no. 2, "ai"): there is another socket of this name`},
		"extra, twice":           {"forward_environments = ['prod']\n" + without("name") + "name = 'extra'", `:2: sockets (no. 1, "extra"): forward_environments is this socket already`},
		"no environment":         {without("environments"), `:1: sockets (no. 1, "ai"): environments is missing`},
		"empty environments":     {without("environments") + "environments = []", `environments is missing`},
		"unknown environment":    {"\n\n" + without("environments") + "environments = ['dev']", `:3: sockets (no. 1, "ai"): no environment "dev" is configured; configured: prod, staging`},
		"an empty environment":   {without("environments") + "environments = ['']", `no environment "" is configured`},
		"environment twice":      {without("environments") + "environments = ['prod', 'prod']", `environments: "prod" is listed twice`},
		"no allow":               {without("allow"), `:1: sockets (no. 1, "ai"): allow is missing; want some of: token, aws, api`},
		"empty allow":            {without("allow") + "allow = []", `:1: sockets (no. 1, "ai"): allow is missing`},
		"an empty text in allow": {without("allow") + "allow = ['']", `allow: unknown ""`},
		"unknown in allow":       {without("allow") + "allow = ['token', 'login']", `:4: sockets.allow: unknown "login"; want some of: token, aws, api`},
		"allow as a text":        {without("allow") + "allow = 'api'", `:4: sockets.allow: not a value for this key (string); want a list of texts`},
		"paths without api":      {without("allow") + "allow = ['token']\npaths = ['/kyc']", `:1: sockets (no. 1, "ai"): methods and paths are about requests to the API; add "api" to allow`},
		"methods without api":    {without("allow") + "allow = ['aws']\nmethods = ['GET']", `add "api" to allow`},
		"a path with dots":       {goodSocket + "paths = ['/kyc', '/kyc/../x']", `:5: sockets.paths: bad path "/kyc/../x"; it has a part . or ..`},
		"a relative path":        {goodSocket + "paths = ['kyc']", `:5: sockets.paths: bad path "kyc"; it does not begin with /`},
		"an escaped path":        {goodSocket + "paths = ['/%2e%2e']", `:5: sockets.paths: bad path "/%2e%2e"`},
		"half a star":            {goodSocket + "paths = ['/kyc*']", `has a "*" that is not a whole segment`},
		"two stars":              {goodSocket + "paths = ['/**']", `has a "*" that is not a whole segment`},
		"a query":                {goodSocket + "paths = ['/kyc?x']", `has a query or a fragment`},
		"an empty path":          {goodSocket + "paths = ['']", `paths: bad path ""; it does not begin with /`},
		"no paths":               {goodSocket + "paths = []", `:1: sockets (no. 1, "ai"): paths is empty; leave it out for all`},
		"no methods":             {goodSocket + "methods = []", `methods is empty; leave it out for all`},
		"a method in lower case": {goodSocket + "methods = ['get']", `:5: sockets.methods: bad method "get"; write GET`},
		"an unknown method":      {goodSocket + "methods = ['TRACE']", `:5: sockets.methods: bad method "TRACE"; want some of: GET`},
		"an empty method":        {goodSocket + "methods = ['']", `methods: bad method ""`},
		"a rate without time":    {goodSocket + "rate = '60'", `:5: sockets.rate: bad rate "60"; want requests in a time, such as "60/1m"`},
		"a rate of 0":            {goodSocket + "rate = '0/1m'", `:5: sockets.rate: bad rate "0/1m"`},
		"a rate below 0":         {goodSocket + "rate = '-1/1m'", `:5: sockets.rate: bad rate`},
		"a rate in no time":      {goodSocket + "rate = '1/0s'", `:5: sockets.rate: bad rate`},
		"a rate as a number":     {goodSocket + "rate = 60", `: bad rate "60"; want requests in a time`},
		"a rate in words":        {goodSocket + "rate = '60 per minute'", `:5: sockets.rate: bad rate`},
		"confirms":               {goodSocket + "confirms = true", `:5: unknown key sockets.confirms`},
		"another key":            {goodSocket + "path = '/tmp/x'", `:5: unknown key sockets.path`},
		"inline":                 {"\nsockets = [{name = 'a', environments = ['prod']}]", `:2: sockets (no. 1, "a"): allow is missing`},
		"a second inline":        {"\nsockets = [{name = 'a', environments = ['prod'], allow = ['api']},\n{name = 'b'}]", `:2: sockets (no. 2, "b"): environments is missing`},
	} {
		t.Run(name, func(t *testing.T) { wantConfigError(t, test.text, test.want) })
	}
}

// A token file cannot take the place of one of the sockets.
func TestSinkInASocketsFolder(t *testing.T) {
	for _, path := range []string{"sockets/ai/agent.sock", "sockets/ai.lock", "sockets/ai/x"} {
		c, _, err := loadText(t, "[[sinks]]\nenvironment = 'prod'\npath = '"+path+"'")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.ResolveSinks(Environ{"XDG_RUNTIME_DIR=/run/user/7", "HOME=/home/x"}, "", "/run/user/7/kyc-agentd/agent.sock")
		if err == nil || !strings.Contains(err.Error(), "in a folder of the daemon's sockets") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
