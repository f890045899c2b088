package doctor

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/cmd/kyc-agentd/internal/statustext"
)

// checkSignIns reports on the sign-ins that the agent holds.
func checkSignIns(_ context.Context, p *probe) (found []Finding) {
	for _, name := range p.names() {
		e, ok := p.statusOf(name)
		if !ok {
			continue
		}
		found = append(found, p.signIn(e).forEnv(name))
		if f, ok := p.tokenLife(e); ok {
			found = append(found, f.forEnv(name))
		}
		if f, ok := awsFinding(e); ok {
			found = append(found, f.forEnv(name))
		}
	}
	return found
}

func (p *probe) signIn(e agent.EnvironmentStatus) Finding {
	login := "run: kyc-agentd login " + e.Name
	message, fix, _ := strings.Cut(statustext.LastError(e), "; ")
	switch {
	case e.State == agent.StateLocked:
		return warning("signin.locked", "run: kyc-agentd unlock", "the agent is locked with your passphrase")
	case e.State == agent.StateRejected:
		return problem("signin.rejected", cmp.Or(fix, login), "%s", message)
	case e.State == agent.StateUnsaved:
		return problem("signin.unsaved", cmp.Or(fix, "make the store writable; the agent then saves it by itself"),
			"the newest refresh token is in memory only: %s", message)
	case !e.SignInEndsAt.IsZero() && p.now().After(e.SignInEndsAt):
		return problem("signin.over", login, "the sign-in ended %s", statustext.Time(e.SignInEndsAt, p.now()))
	case e.Degraded:
		return warning("signin.degraded", cmp.Or(fix, "the agent tries again by itself; look at the findings about the network"),
			"the last refresh failed: %s", message)
	case e.LastError != "":
		return warning("signin.failed", cmp.Or(fix, login), "%s", message)
	case e.Warning != "":
		message, fix, _ := strings.Cut(strings.TrimPrefix(e.Warning, e.Name+": "), "; ")
		return warning("signin.ends", cmp.Or(fix, login), "%s", message)
	case e.State == agent.StateAbsent:
		return p.signedOut(e, login)
	}
	return ok("signin", "%s", signInLine(e, p.now()))
}

// minAWSLife is the lifetime below which AWS's tools ask for credentials at every request:
// they refresh what has less than 15 minutes left (botocore.credentials, advisory refresh
// timeout), and it takes a minute until they are used.
const minAWSLife = 16 * time.Minute

// tokenLife warns of ID tokens that live too short to be exchanged for AWS credentials.
func (p *probe) tokenLife(e agent.EnvironmentStatus) (Finding, bool) {
	config := p.config.Environments[e.Name]
	life := time.Duration(e.TokenLifeSeconds) * time.Second
	if config.IdentityPoolID.String() == "" && config.AWSRoleARN.String() == "" || life == 0 || life >= minAWSLife {
		return Finding{}, false
	}
	return warning("signin.token-life", "ask the user pool's administrator for a longer IdTokenValidity, for example an hour",
		"ID tokens live %s, and AWS's tools ask again at every request below %s",
		statustext.Duration(life), statustext.Duration(minAWSLife)), true
}

// awsFinding says why there are no newer AWS credentials.
func awsFinding(e agent.EnvironmentStatus) (Finding, bool) {
	if e.AWSLastError == "" {
		return Finding{}, false
	}
	message, fix, _ := strings.Cut(strings.TrimPrefix(e.AWSLastError, e.Name+": "), "; ")
	return warning("signin.aws", cmp.Or(fix, "the agent tries again by itself"), "the last AWS credentials were refused: %s", message), true
}

// checkSinks reports on the token files that the agent keeps fresh.
func checkSinks(_ context.Context, p *probe) (found []Finding) {
	for _, s := range p.status.Sinks {
		if s.Error != "" {
			message, fix, _ := strings.Cut(s.Error, "; ")
			found = append(found, warning("sinks.failed", cmp.Or(fix, "correct the folder, then run: kyc-agentd reload"), "token file: %s",
				strings.TrimPrefix(message, s.Environment+": ")).forEnv(s.Environment))
		}
		for _, left := range s.Left {
			message, fix, _ := strings.Cut(left, "; ")
			found = append(found, warning("sinks.left", fix, "token file: %s", message).forEnv(s.Environment))
		}
	}
	if len(found) == 0 && len(p.status.Sinks) > 0 {
		found = append(found, ok("sinks", "%s written", plural(len(p.status.Sinks), "token file")))
	}
	return found
}

// signedOut is a warning only for the environment that was asked about.
func (p *probe) signedOut(e agent.EnvironmentStatus, login string) Finding {
	switch {
	case e.Unattended:
		return ok("signin", "the agent signs in by itself at the first request")
	case e.Name == cmp.Or(p.opts.Environment, p.config.DefaultEnvironment):
		return warning("signin.absent", login, "not signed in")
	}
	return info("signin.absent", login, "not signed in")
}

func signInLine(e agent.EnvironmentStatus, now time.Time) string {
	text := "signed in as " + statustext.User(e)
	if !e.SignInEndsAt.IsZero() {
		text += ", ends " + statustext.Time(e.SignInEndsAt, now)
	}
	if e.Rotated {
		text += "; refresh tokens are rotated"
	}
	return text
}
