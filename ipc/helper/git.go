package helper

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/internal/origin"
	"github.com/legaltalent/kyc-agent/ipc/format"
	"github.com/legaltalent/kyc-agent/ipc/internal/wire"
)

// A gitRequest is what git asks its credential helpers: gitcredentials(7), and
// "Input/output format" in git-credential(1).
type gitRequest struct {
	protocol, host string
	capabilities   []string
}

// answerGit answers with a bearer token, for which git has the authtype capability since
// 2.46. For a host of no environment it is silent: git then asks its next helper.
func answerGit(c *call) (Answer, error) {
	if c.operation == "capability" {
		return Answer{MediaType: wire.MediaText, Body: []byte("version 0\ncapability authtype\n")}, nil
	}
	r, err := parseGit(c.body)
	if err != nil {
		return Answer{}, err
	}
	st, err := c.service.Status(c.ctx)
	if err != nil {
		return Answer{}, err
	}
	environment, err := environmentOf(st, c.environment, origin.HostURL(r.protocol, r.host))
	switch {
	case errors.Is(err, errElsewhere):
		return Answer{}, nil
	case err != nil:
		return Answer{}, err
	case !slices.Contains(r.capabilities, "authtype"):
		// An older git would send the token as a password, in Basic authentication.
		return Answer{}, &agent.Error{
			Code: agent.CodeUsage, Op: "helper", Environment: environment,
			Message: "this git cannot send a bearer token", Hint: "use git 2.46 or later",
		}
	}
	t, err := c.token(environment)
	if err != nil {
		return Answer{}, err
	}
	// ephemeral keeps other helpers from storing it.
	body := "capability[]=authtype\nauthtype=Bearer\ncredential=" + t.IDToken.Reveal() + "\nephemeral=1\n"
	if end := format.ReportedEnd(t, time.Now()); !end.IsZero() {
		body += "password_expiry_utc=" + strconv.FormatInt(end.Unix(), 10) + "\n"
	}
	return answerWith(t, wire.MediaText, body), nil
}

// parseGit reads lines of key=value, up to an empty one. As in git itself, the last of two
// equal keys counts, unknown keys are ignored, and an empty capability[] clears the list.
func parseGit(body string) (gitRequest, error) {
	var r gitRequest
	for line := range strings.SplitSeq(body, "\n") {
		if line == "" {
			break
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return gitRequest{}, wire.UsageError("a line of git's request is not key=value")
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
