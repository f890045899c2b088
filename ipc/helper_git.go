package ipc

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
)

// A gitRequest is what git asks its credential helpers for: gitcredentials(7), and
// "Input/output format" in git-credential(1).
type gitRequest struct {
	protocol, host string
	capabilities   []string
}

// git answers with a bearer token, for which git has the authtype capability since
// 2.46. Others' hosts get silence: git then asks its next helper.
func (a *api) git(q helperRequest) (reply, error) {
	if q.operation == "capability" {
		return reply{mediaType: mediaText, body: []byte("version 0\ncapability authtype\n")}, nil
	}
	r, err := parseGit(q.body)
	if err != nil {
		return reply{}, err
	}
	st, err := a.statusNow()
	if err != nil {
		return reply{}, err
	}
	environment, err := environmentOf(st, q.environment, origin.HostURL(r.protocol, r.host))
	switch {
	case errors.Is(err, errElsewhere):
		return nothing, nil
	case err != nil:
		return reply{}, err
	case !slices.Contains(r.capabilities, "authtype"):
		// An older git would send the token as a password, in Basic authentication.
		return reply{}, &agent.Error{
			Code: agent.CodeUsage, Op: "helper", Environment: environment,
			Message: "this git cannot send a bearer token", Hint: "use git 2.46 or later",
		}
	}
	t, err := a.tokenOf(environment, q)
	if err != nil {
		return reply{}, err
	}
	// ephemeral keeps other helpers from storing it.
	answer := "capability[]=authtype\nauthtype=Bearer\ncredential=" + t.IDToken.Reveal() + "\nephemeral=1\n"
	if end := reportedEnd(t, time.Now()); !end.IsZero() {
		answer += "password_expiry_utc=" + strconv.FormatInt(end.Unix(), 10) + "\n"
	}
	return answerWith(t, mediaText, answer), nil
}

// parseGit reads lines of key=value, up to an empty one. As in git itself, the last of
// two counts, what is unknown is ignored, and an empty capability[] clears the list.
func parseGit(body string) (gitRequest, error) {
	var r gitRequest
	for line := range strings.SplitSeq(body, "\n") {
		if line == "" {
			break
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return gitRequest{}, usage("a line of what git asks is not key=value")
		}
		switch key {
		case "protocol":
			r.protocol = value
		case "host":
			r.host = value
		case "capability[]":
			if r.capabilities = append(r.capabilities, value); value == "" {
				r.capabilities = nil
			}
		}
	}
	return r, nil
}
