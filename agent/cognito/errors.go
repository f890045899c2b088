package cognito

import (
	"fmt"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// This file translates what failure.go reads from an answer into the agent's errors, by the
// tables in mappings.go.

// An errorMapping translates an error code of Cognito into the agent's code, message and hint.
//
// In message and hint {env} stands for the environment's name, {client} for the app client's
// id, {host} for the server that answered, {call} for the call, {code} for Cognito's code,
// {allow} for the flow that the app client must allow, {rerun} for the command to begin again
// (after a refresh, the command to sign in), {browser} for how to sign in with a browser, and {again} for how the operation is repeated:
// a sign-in by the person, a refresh by the agent. If the hint names an administrator, Cognito's
// id of the request follows.
type errorMapping struct {
	code       agent.Code
	message    string
	hint       string
	retryAfter time.Duration // when a retry makes sense; 0 if Cognito's rules do not say
}

// A mappingTable holds the mappings for one step of an operation, because the same code means
// different things in different steps. Keys are codes, or code/reason if Cognito's message
// says more than its code.
//
// It is no map: the compiler writes a slice into the program, while all maps of a package are
// built at each start.
type mappingTable []mappingEntry

type mappingEntry struct {
	key     string
	mapping errorMapping
}

func (t mappingTable) lookUp(key string) (errorMapping, bool) {
	for i := range t {
		if t[i].key == key {
			return t[i].mapping, true
		}
	}
	return errorMapping{}, false
}

// errorFor translates a failure into the agent's error.
func (o *operation) errorFor(table mappingTable, f *failure) *agent.Error {
	return o.errorFrom(mappingOf(table, f), f)
}

// errorFrom is errorFor with a given mapping.
func (o *operation) errorFrom(mapping errorMapping, f *failure) *agent.Error {
	fill := strings.NewReplacer(
		"{again}", o.retryHint(), "{rerun}", o.rerunHint(), "{browser}", o.browserHint(), "{env}", o.env.Name, "{client}", o.env.ClientID,
		"{host}", f.Call.Host, "{call}", f.Call.Name, "{code}", f.Code, "{allow}", string(o.flow.allow),
	)
	e := &agent.Error{
		Code: mapping.code, Op: o.name, Environment: o.env.Name,
		Message: fill.Replace(mapping.message), Hint: withRequestID(fill.Replace(mapping.hint), f.RequestID),
		RetryAfter: max(mapping.retryAfter, f.RetryAfter), Err: f,
	}
	if mapping == badPassword || mapping == unknownUser {
		e.Err = fmt.Errorf("%w: %w", agent.ErrBadCredential, f)
		if o.env.Domain != "" {
			// Cognito gives the same answer for accounts of another provider, and for users
			// without a password.
			e.Hint += " (with a passkey, or at another provider: kyc-agentd login --browser " + o.env.Name + ")"
		}
	}
	return e
}

// withRequestID adds Cognito's id of a request to a hint that names an administrator, who can
// find the request by it.
func withRequestID(hint, id string) string {
	if id == "" {
		return hint
	}
	return strings.Replace(hint, "administrator", "administrator (request "+id+")", 1)
}

// mappingOf returns the mapping of f, in the step that table is for.
func mappingOf(table mappingTable, f *failure) errorMapping {
	if f.Code == "" {
		return mappingWithoutCode(f)
	}
	mapping, ok := lookUpMapping(table, f)
	switch {
	case f.isUnknownCall():
		return unknownCall
	case f.Status >= 500:
		return internalError // whatever the code: Cognito refuses with HTTP 400
	case ok:
		return mapping
	}
	return errorMapping{agent.CodeInternal, "Cognito answered {call} with {code}, which this version does not know", "{again}", 0}
}

func lookUpMapping(table mappingTable, f *failure) (errorMapping, bool) {
	for _, key := range []string{f.Code + "/" + string(f.reason), f.Code} {
		for _, in := range []mappingTable{table, defaultMapping} {
			if mapping, ok := in.lookUp(key); ok {
				return mapping, true
			}
		}
	}
	return errorMapping{}, false
}

// isUnknownCall reports whether the server does not have the operation that was called.
func (f *failure) isUnknownCall() bool {
	mapping, _ := defaultMapping.lookUp(f.Code)
	return mapping == unknownCall
}

// mappingWithoutCode returns the mapping of a failure without an error code: something between
// this machine and Cognito answered, or there was no answer.
func mappingWithoutCode(f *failure) errorMapping {
	switch {
	case f.Status == 403:
		return blocked
	case f.Status == 429:
		return throttled
	case f.UnknownCA:
		return errorMapping{agent.CodeUnavailable, f.Text, unknownCAHint, 0}
	case f.Status == 407 || f.Status == 408: // of a proxy, and of a server that was too slow
	case f.CutOff: // what the status means would follow
	case f.Status >= 400 && f.Status < 500:
		return errorMapping{agent.CodeConfiguration, f.Text, notCognitoHint, 0}
	case f.Status >= 300 && f.Status < 400, f.Status == 200 && f.Page:
		return errorMapping{agent.CodeUnavailable, f.Text, notCognitoHint, 0}
	}
	return errorMapping{agent.CodeUnavailable, f.Text, "{again}", 0}
}

// errorf returns an error that is not based on an answer of Cognito.
func (o *operation) errorf(code agent.Code, hint, format string, args ...any) *agent.Error {
	return &agent.Error{Code: code, Op: o.name, Environment: o.env.Name, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func (o *operation) rerunHint() string { return "run: " + o.command }

// retryHint says who repeats the operation, and when, or what follows if nobody does.
func (o *operation) retryHint() string {
	if o.name == "refresh" {
		return "the agent tries again by itself"
	}
	if o.allSignIns {
		return "the other sign-ins stay valid at Cognito until they expire; to end them, " + o.rerunHint()
	}
	if o.name == "revoke" {
		return "the sign-in stays valid at Cognito until it expires"
	}
	if o.name == "login" {
		// Without a command: in `kyc-agentd run` it would be that of another agent.
		return "try again in a minute"
	}
	return "wait a minute, then " + o.rerunHint()
}
