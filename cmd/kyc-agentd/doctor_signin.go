package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
)

// checkSignIns looks at what the agent holds.
func checkSignIns(_ context.Context, p *probe) (found []finding) {
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

func (p *probe) signIn(e agent.EnvironmentStatus) finding {
	login := "run: kyc-agentd login " + e.Name
	message, fix, _ := strings.Cut(lastError(e), "; ")
	switch {
	case e.State == agent.StateRejected:
		return problem("signin.rejected", cmp.Or(fix, login), "%s", message)
	case e.State == agent.StateUnsaved:
		return problem("signin.unsaved", cmp.Or(fix, "free the store; the agent saves it by itself then"), "the newest refresh token is in memory only: %s", message)
	case !e.SignInEndsAt.IsZero() && p.now().After(e.SignInEndsAt):
		return problem("signin.over", login, "the sign-in ended %s", when(e.SignInEndsAt, p.now()))
	case e.Degraded:
		return warning("signin.degraded", cmp.Or(fix, "the agent tries again by itself; look at the findings on the network"), "the last refresh failed: %s", message)
	case e.LastError != "":
		return warning("signin.failed", cmp.Or(fix, login), "%s", message)
	case e.Warning != "":
		message, fix, _ := strings.Cut(strings.TrimPrefix(e.Warning, e.Name+": "), "; ")
		return warning("signin.ends", cmp.Or(fix, login), "%s", message)
	case e.State == agent.StateAbsent:
		return p.signedOut(e, login)
	}
	return fine("signin", "%s", signInLine(e, p.now()))
}

// minAWSLife is the life below which AWS's tools ask again at every single request: they
// renew what has less than 15 minutes left (botocore.credentials, advisory refresh
// timeout), and it takes a minute to use it.
const minAWSLife = 16 * time.Minute

// tokenLife is about ID tokens that AWS credentials are made with.
func (p *probe) tokenLife(e agent.EnvironmentStatus) (finding, bool) {
	config := p.config.Environments[e.Name]
	life := time.Duration(e.TokenLifeSeconds) * time.Second
	if config.IdentityPoolID.String() == "" && config.AWSRoleARN.String() == "" || life == 0 || life >= minAWSLife {
		return finding{}, false
	}
	return warning("signin.token-life", "ask the user pool's administrator for a longer IdTokenValidity, an hour say",
		"ID tokens live %s, and AWS's tools ask again at every request below %s", span(life), span(minAWSLife)), true
}

// awsFinding is why there are no newer AWS credentials.
func awsFinding(e agent.EnvironmentStatus) (finding, bool) {
	if e.AWSLastError == "" {
		return finding{}, false
	}
	message, fix, _ := strings.Cut(strings.TrimPrefix(e.AWSLastError, e.Name+": "), "; ")
	return warning("signin.aws", cmp.Or(fix, "the agent tries again by itself"), "the last AWS credentials were refused: %s", message), true
}

// checkSinks looks at the token files that the agent keeps fresh.
func checkSinks(_ context.Context, p *probe) (found []finding) {
	for _, s := range p.status.Sinks {
		if s.Error != "" {
			message, fix, _ := strings.Cut(s.Error, "; ")
			found = append(found, warning("sinks.failed", cmp.Or(fix, "put the folder right, then run: kyc-agentd reload"), "token file: %s",
				strings.TrimPrefix(message, s.Environment+": ")).forEnv(s.Environment))
		}
	}
	if len(found) == 0 && len(p.status.Sinks) > 0 {
		found = append(found, fine("sinks", "%s written", plural(len(p.status.Sinks), "token file")))
	}
	return found
}

// signedOut is no fault in an environment that nobody asked about.
func (p *probe) signedOut(e agent.EnvironmentStatus, login string) finding {
	switch {
	case e.Unattended:
		return fine("signin", "the agent signs in by itself at the first need")
	case e.Name == p.chosenEnvironment():
		return warning("signin.absent", login, "not signed in")
	}
	return info("signin.absent", login, "not signed in")
}

func signInLine(e agent.EnvironmentStatus, now time.Time) string {
	text := "signed in as " + who(e)
	if !e.SignInEndsAt.IsZero() {
		text += ", ends " + when(e.SignInEndsAt, now)
	}
	if e.Rotated {
		text += "; refresh tokens are rotated"
	}
	return text
}
