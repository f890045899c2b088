package ipc

import (
	"errors"

	"github.com/legaltalent/kyc-agent/agent"
)

// metrics answers with the figures of the agent, in the form that Accept asks for.
func (a *api) metrics(x *exchange) (reply, error) {
	if a.figures == nil {
		return reply{}, usage("there are no metrics on this socket")
	}
	ctx, cancel := a.work(workTimeout)
	defer cancel()
	mediaType, body, err := a.figures(ctx, x.Header)
	if err != nil {
		return reply{}, err
	}
	return reply{mediaType: mediaType, body: body}, nil
}

// errUnknown marks the errors that a newer agent may not have: a path, a parameter, a
// field or a format that this one does not know.
var errUnknown = errors.New("not known to this version")

// unknown is a usage error that errUnknown marks.
func unknown(format string, args ...any) *agent.Error {
	e := usage(format, args...)
	e.Err = errUnknown
	return e
}

// withVersion says in an error about something unknown which version does not know it:
// the program that asks may be newer than this one.
func (a *api) withVersion(err error) error {
	e, ok := errors.AsType[*agent.Error](err)
	if !ok || a.version == "" || !errors.Is(e.Err, errUnknown) {
		return err
	}
	e.Hint = "this agent is " + a.version
	if a.replaced != nil && a.replaced() {
		e.Hint += ", and another version is installed; run: systemctl --user restart kyc-agentd.service"
	}
	return err
}
