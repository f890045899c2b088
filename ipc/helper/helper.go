// Package helper speaks the credential-helper protocols of git, Bazel, Terraform, Go,
// Kubernetes and kyc-token exec.
//
//	answer, err := helper.Handle(ctx, service, helper.Request{Protocol: "git", Body: body})
//
// A tool that runs a credential helper has its own language. The request is what the tool
// wrote, and the answer is what it reads, so that `kyc-token` copies bytes both ways:
//
//	bazel      {"uri"}, and the headers for it       Bazel, EngFlow and others
//	git        key=value lines both ways             operation get or capability
//	terraform  a host, and {"token"} or {}
//	goauth     nothing, or a URL; URLs and headers   the go command
//	k8s        the content of KUBERNETES_EXEC_INFO, and an ExecCredential
//	exec       nothing, and NAME=value lines         `kyc-token exec`
//
// A URL chooses its environment: its scheme, host and port must be exactly those of the
// environment's api_url, or its host and port those of an allowed_hosts and its scheme
// https (see package origin for what is refused). If the request names an environment, only
// that one is considered. If a protocol can say that there is no token for a host, it does:
// the answer is empty for git and goauth, and {} for terraform.
//
// To add a protocol, add one entry to the table, protocols, and one file.
package helper

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A Request is what a tool asks its credential helper.
type Request struct {
	Protocol    string
	Operation   string // "" means the protocol's first
	Environment string // "" means the one that the URL belongs to, or the agent's default
	MinValid    string // "5m", or "300" for seconds
	User        string // who must be signed in; "" means anybody
	Body        []byte // what the tool wrote, unchanged
}

// An Answer is what the tool reads. The zero Answer is silence: in the protocols that have
// it, it says that there is no token for this host.
type Answer struct {
	MediaType string
	Body      []byte
	Warning   string      // for the person, on one line
	Token     agent.Token // that is in Body; zero if none is
}

// A protocol is one in which some tool asks for credentials.
type protocol struct {
	name       string
	operations []string // the first is the default
	answer     func(c *call) (Answer, error)
}

// protocols lists every protocol, in the order in which error messages name them.
var protocols = []protocol{
	{"bazel", []string{"get"}, answerBazel},
	{"git", []string{"get", "capability"}, answerGit},
	{"terraform", []string{"get"}, answerTerraform},
	{"goauth", []string{"get"}, answerGoauth},
	{"k8s", []string{"get"}, answerK8s},
	{"exec", []string{"get"}, answerExec},
}

// Protocols returns the names of the protocols.
func Protocols() []string {
	var names []string
	for _, p := range protocols {
		names = append(names, p.name)
	}
	return names
}

// A call is one request on its way through its protocol.
type call struct {
	ctx         context.Context
	service     agent.Service
	operation   string
	environment string
	user        string
	minValid    time.Duration
	body        string
}

// Handle answers a tool with a token of the service's.
func Handle(ctx context.Context, service agent.Service, r Request) (Answer, error) {
	i := slices.IndexFunc(protocols, func(p protocol) bool { return p.name == r.Protocol })
	if i < 0 {
		return Answer{}, wire.NewStatusError(http.StatusNotFound, "no such protocol: %s; known: %s", wire.Quote(r.Protocol), strings.Join(Protocols(), ", "))
	}
	p := protocols[i]
	c := &call{ctx: ctx, service: service, operation: r.Operation, environment: r.Environment, user: r.User, body: string(r.Body)}
	if c.operation == "" {
		c.operation = p.operations[0]
	}
	if !slices.Contains(p.operations, c.operation) {
		return Answer{}, wire.UnknownError("unknown operation %s of %s; known: %s", wire.Quote(c.operation), p.name, strings.Join(p.operations, ", "))
	}
	if bytes.IndexByte(r.Body, 0) >= 0 {
		return Answer{}, wire.UsageError("the request of %s has NUL bytes in it", p.name)
	}
	var err error
	if c.minValid, err = wire.ParseMinValid(r.MinValid); err != nil {
		return Answer{}, wire.InEnvironment(c.environment, err)
	}
	return p.answer(c)
}

// token returns a token of the environment, or of the agent's default.
func (c *call) token(environment string) (agent.Token, error) {
	t, err := c.service.Token(c.ctx, agent.TokenRequest{Environment: environment, MinValid: c.minValid, User: c.user})
	if err != nil {
		return agent.Token{}, err
	}
	return t, wire.CheckToken(t)
}

// tokenFor returns a token that may go to the URL target. The error has errElsewhere as
// its cause if there is none.
func (c *call) tokenFor(target string) (agent.Token, error) {
	st, err := c.service.Status(c.ctx)
	if err != nil {
		return agent.Token{}, err
	}
	environment, err := environmentOf(st, c.environment, target)
	if err != nil {
		return agent.Token{}, err
	}
	return c.token(environment)
}

// answerWith returns an answer that has a token in it.
func answerWith(t agent.Token, mediaType, body string) Answer {
	return Answer{MediaType: mediaType, Warning: sanitize.OneLine(t.Warning), Token: t, Body: []byte(body)}
}
