package agent

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// A Policy says what may be done through a socket that is for somebody else's code. It
// allows nothing that it does not name, but for the status of its environments, and nothing
// that changes the state of the agent.
//
//	p := agent.Policy{Socket: "ai", Environments: []string{"staging"}, Allow: []agent.Access{agent.AccessAPI}}
//	err := p.Check()                                      // is it one that can be meant?
//	err = p.CheckAPI("staging", "POST", "/kyc", "x=1")    // may this request be forwarded?
//	r := p.Restrict(service)                              // what its socket serves
//
// [Policy.Restrict] returns what decides about requests. [Restrict] is the policy of the
// socket for forwarding.
type Policy struct {
	// Socket is its name, for messages.
	Socket string
	// Environments are those that it is about.
	Environments []string
	// Allow is what may be had of them.
	Allow []Access
	// Methods are the HTTP methods that are forwarded to the API; empty means all. HEAD goes
	// with GET.
	Methods []string
	// Paths are the paths of the API to which requests are forwarded; empty means all.
	Paths []PathPattern
	// Confirm says that a person has to approve each program first.
	Confirm bool
	// Rate is how many requests are answered; any more are throttled.
	Rate Rate
}

// An Access is something that a Policy allows.
type Access string

// What a Policy can allow.
const (
	AccessToken Access = "token" // ID tokens, in every format but aws and for every helper
	AccessAWS   Access = "aws"   // AWS credentials
	AccessAPI   Access = "api"   // requests to the API, to which the agent adds the token
)

// accesses are all of them, with their names in messages.
var accesses = []struct {
	access Access
	plural string
}{{AccessToken, "tokens"}, {AccessAWS, "AWS credentials"}, {AccessAPI, "requests to the API"}}

// APIMethods are the HTTP methods that are forwarded to an API. CONNECT would make a tunnel,
// and the answer to TRACE is the request itself, with the token.
var APIMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Allows reports whether p allows a.
func (p Policy) Allows(a Access) bool { return slices.Contains(p.Allow, a) }

// Check returns an error, in words, if p contradicts itself or says nothing. Whether its
// environments exist is the caller's to check.
func (p Policy) Check() error {
	if len(p.Environments) == 0 {
		return errors.New("environments is missing")
	}
	if again := repeated(p.Environments); again != "" {
		return fmt.Errorf("environments: %q is listed twice", again)
	}
	if err := p.checkAllow(); err != nil {
		return err
	}
	if !p.Allows(AccessAPI) && (len(p.Methods) > 0 || len(p.Paths) > 0) {
		return errors.New(`methods and paths are about requests to the API; add "api" to allow, or leave them out`)
	}
	for _, m := range p.Methods {
		if err := CheckMethod(m); err != nil {
			return fmt.Errorf("methods: %w", err)
		}
	}
	if again := repeated(p.Methods); again != "" {
		return fmt.Errorf("methods: %q is listed twice", again)
	}
	return nil
}

func (p Policy) checkAllow() error {
	if len(p.Allow) == 0 {
		return fmt.Errorf("allow is missing; want some of: %s", accessNames())
	}
	for _, a := range p.Allow {
		if err := a.Check(); err != nil {
			return fmt.Errorf("allow: %w", err)
		}
	}
	if again := repeated(p.Allow); again != "" {
		return fmt.Errorf("allow: %q is listed twice", again)
	}
	return nil
}

// Check returns an error if there is no such access.
func (a Access) Check() error {
	for _, known := range accesses {
		if a == known.access {
			return nil
		}
	}
	return fmt.Errorf("unknown %q; want some of: %s", string(a), accessNames())
}

func accessNames() string {
	var names []string
	for _, a := range accesses {
		names = append(names, string(a.access))
	}
	return strings.Join(names, ", ")
}

// CheckMethod returns an error unless m is one of APIMethods.
func CheckMethod(m string) error {
	if slices.Contains(APIMethods, m) {
		return nil
	}
	if upper := strings.ToUpper(m); slices.Contains(APIMethods, upper) {
		return fmt.Errorf("bad method %q; write %s", m, upper)
	}
	return fmt.Errorf("bad method %q; want some of: %s", m, strings.Join(APIMethods, ", "))
}

// repeated returns the first value that is in list twice, or the zero value.
func repeated[T comparable](list []T) (again T) {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return v
		}
	}
	return again
}

// CheckAPI returns an error with CodeDenied unless p allows a request to the API of an
// environment. path is relative to api_url and escaped as it will be sent; query is the raw
// one. The headers of the request that name another method or path are the caller's to
// remove.
func (p Policy) CheckAPI(environment, method, path, query string) error {
	shown := sanitize.Cut(method, maxQuoted) + " " + sanitize.Cut(path, maxQuoted)
	switch {
	case !p.Allows(AccessAPI):
		return p.denied("proxy", "requests to the API")
	case !slices.Contains(p.Environments, environment):
		return p.denied("proxy", "requests to the API of "+sanitize.Cut(environment, maxQuoted))
	case !p.allowsMethod(method):
		return p.deniedRequest(environment, "methods", shown, strings.Join(p.Methods, ", "))
	case !p.allowsPath(path):
		return p.deniedRequest(environment, "paths", shown, p.pathList())
	case len(p.Methods) > 0 && overridesMethod(query):
		return p.deniedRequest(environment, "methods", shown+" with another method in its query", strings.Join(p.Methods, ", "))
	}
	return nil
}

func (p Policy) allowsMethod(method string) bool {
	return len(p.Methods) == 0 || slices.Contains(p.Methods, method) || method == "HEAD" && slices.Contains(p.Methods, "GET")
}

func (p Policy) allowsPath(path string) bool {
	return len(p.Paths) == 0 || slices.ContainsFunc(p.Paths, func(pattern PathPattern) bool { return pattern.Match(path) })
}

func (p Policy) pathList() string {
	var all []string
	for _, pattern := range p.Paths {
		all = append(all, pattern.String())
	}
	return strings.Join(all, ", ")
}

// overridesMethod reports whether some frameworks take the method of a request from its raw
// query: "?_method=DELETE".
func overridesMethod(query string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		name, _, _ = strings.Cut(overrideName(name), "[") // PHP and Rack read a[] as a
		if slices.Contains([]string{"-method", "$method", "-http-method", "httpmethod"}, name) || isMethodOverride(name) {
			return true
		}
	}
	return false
}

// Within reports whether p allows nothing that o does not allow.
func (p Policy) Within(o Policy) bool {
	return within(p.Environments, o.Environments) && within(p.Allow, o.Allow) &&
		(len(o.Methods) == 0 || len(p.Methods) > 0 && within(p.Methods, o.Methods)) &&
		(len(o.Paths) == 0 || len(p.Paths) > 0 && withinFunc(p.Paths, o.Paths, PathPattern.String)) &&
		(p.Confirm || !o.Confirm) && p.Rate.within(o.Rate)
}

func within[T comparable](list, of []T) bool {
	return withinFunc(list, of, func(v T) T { return v })
}

func withinFunc[T any, K comparable](list, of []T, key func(T) K) bool {
	for _, v := range list {
		if !slices.ContainsFunc(of, func(o T) bool { return key(o) == key(v) }) {
			return false
		}
	}
	return true
}

// IsOverride reports whether name is a header by which some servers take another method, path
// or host for that of the request: X-HTTP-Method-Override, X-Original-URL and the like.
func IsOverride(name string) bool {
	name = overrideName(name)
	return isMethodOverride(name) || slices.Contains(overrides, name) ||
		slices.ContainsFunc(overridePrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func isMethodOverride(name string) bool {
	return strings.Contains(name, "method-override") || strings.HasPrefix(name, "x-http-method")
}

// overrideName returns a name as servers compare it. CGI and WSGI write "_" for "-".
func overrideName(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
}

var (
	overridePrefixes = []string{"x-original-", "x-rewrite-", "x-forwarded-", "x-envoy-original-", "x-override-", "x-http-host-", "x-http-path-"}
	overrides        = []string{
		"forwarded", "http-method", "x-method", "x-request-method", "x-host", "x-url", "x-uri", "x-real-url", "x-real-uri", "request-uri",
		"x-request-url", "x-request-uri", "x-path", "x-path-info", "x-request-path", "x-http-destinationurl", "x-proxy-url",
	}
)

// purpose says what its socket is for.
func (p Policy) purpose() string {
	if p.Socket == ForwardingSocket {
		return "forwarding"
	}
	return p.summary()
}

// denied returns the error for a kind of request that p does not allow.
func (p Policy) denied(op, what string) *Error {
	e := &Error{Code: CodeDenied, Op: op, Message: what + " are not for this socket, which is for forwarding: it hands out only " + p.summary(), Hint: "do that on the agent's own machine"}
	if p.Socket != ForwardingSocket {
		e.Message = what + " are not for this socket, " + p.Socket + ": it is only for " + p.summary()
		e.Hint = "use the agent's own socket"
	}
	if len(p.Environments) == 0 {
		e.Message = what + " are not for this socket, which is for forwarding: it hands out nothing"
		e.Hint = "name environments in forward_environments of config.toml"
	}
	return e
}

// summary says what p allows.
func (p Policy) summary() string {
	var kinds []string
	for _, a := range accesses {
		if p.Allows(a.access) {
			kinds = append(kinds, a.plural)
		}
	}
	return strings.Join(kinds, " and ") + " of " + strings.Join(p.Environments, ", ")
}

// deniedRequest returns the error for a request to the API that is none of those in list.
func (p Policy) deniedRequest(environment, key, request, list string) error {
	return &Error{
		Code: CodeDenied, Op: "proxy", Environment: environment,
		Message: fmt.Sprintf("%s is not allowed on the socket %s, whose %s are %s", request, p.Socket, key, list),
		Hint:    "use one of these, or the agent's own socket",
	}
}
