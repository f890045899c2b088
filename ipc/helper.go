package ipc

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/sanitize"
)

// helperPath is one credential helper's protocol.
const helperPath = "/v1/helper/{protocol}"

// mediaBytes is the body of a helper's request: the tool's own words, as they came.
const mediaBytes = "application/octet-stream"

// A helper speaks the protocol in which some tool asks for credentials. The tool's
// own document is the body, and what it wants to read the answer.
type helper struct {
	protocol   string
	operations []string // what the tool may want done; the first is the default
	answer     func(a *api, q helperRequest) (reply, error)
}

// helpers lists every protocol; the order is the one that error messages name them in.
var helpers = []helper{
	{"bazel", []string{"get"}, (*api).bazel},
	{"git", []string{"get", "capability"}, (*api).git},
	{"terraform", []string{"get"}, (*api).terraform},
	{"goauth", []string{"get"}, (*api).goauth},
	{"k8s", []string{"get"}, (*api).k8s},
	{"exec", []string{"get"}, (*api).exec},
}

// A helperRequest is what a tool has asked.
type helperRequest struct {
	environment string // that the caller named; empty where the URL, or the default, tells
	minValid    time.Duration
	operation   string
	body        string
}

// nothing is the answer of a protocol in which silence means: I have none.
var nothing = reply{status: http.StatusNoContent}

func (a *api) helper(x *exchange) (reply, error) {
	i := slices.IndexFunc(helpers, func(h helper) bool { return h.protocol == x.id })
	if i < 0 {
		return reply{}, usageStatus(http.StatusNotFound, "no such protocol: %s; known: %s", quoted(x.id), protocols())
	}
	h := helpers[i]
	q := helperRequest{environment: x.query.Get("env"), operation: x.query.Get("operation"), body: string(x.body)}
	if q.operation == "" {
		q.operation = h.operations[0]
	}
	if !slices.Contains(h.operations, q.operation) {
		return reply{}, unknown("unknown operation %s of %s; known: %s", quoted(q.operation), h.protocol, strings.Join(h.operations, ", "))
	}
	if bytes.IndexByte(x.body, 0) >= 0 {
		return reply{}, usage("what %s was asked has NUL bytes in it", h.protocol)
	}
	var err error
	if q.minValid, err = parseMinValid(x.query.Get("min_valid")); err != nil {
		return reply{}, inEnvironment(q.environment, err)
	}
	return h.answer(a, q)
}

func protocols() string {
	var names []string
	for _, h := range helpers {
		names = append(names, h.protocol)
	}
	return strings.Join(names, ", ")
}

// tokenOf is a token of the environment, or of the agent's default.
func (a *api) tokenOf(environment string, q helperRequest) (agent.Token, error) {
	return a.fresh(agent.TokenRequest{Environment: environment, MinValid: q.minValid}, helperTimeout)
}

// tokenTo is a token that may go to the URL target. An error with errElsewhere as its
// cause says that none may.
func (a *api) tokenTo(target string, q helperRequest) (agent.Token, error) {
	st, err := a.statusNow()
	if err != nil {
		return agent.Token{}, err
	}
	environment, err := environmentOf(st, q.environment, target)
	if err != nil {
		return agent.Token{}, err
	}
	return a.tokenOf(environment, q)
}

func (a *api) statusNow() (agent.Status, error) {
	ctx, cancel := a.work(helperTimeout)
	defer cancel()
	return a.service.Status(ctx)
}

// answerWith is an answer that a token is in.
func answerWith(t agent.Token, mediaType, body string) reply {
	return reply{mediaType: mediaType, warning: sanitize.OneLine(t.Warning), body: []byte(body)}
}
