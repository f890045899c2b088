package cognito

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito/managedlogin"
	"github.com/legaltalent/kyc-agent/agent/internal/awscall"
)

const (
	// ProblemRedirect is a redirect URI that the app client does not have.
	ProblemRedirect ProblemKind = "redirect-uri"
	// ProblemRefused is a sign-in that the domain refuses before anybody has signed in.
	ProblemRefused ProblemKind = "refused"
)

// maxErrorPage is how much of an error page is looked at.
const maxErrorPage = 64 << 10

// ProbeDomain checks whether a sign-in with a browser can begin, with each of the environment's
// redirect URIs: the domain has to send the browser on to where a person signs in. Nobody signs
// in. It returns nil if nothing is wrong, and takes no longer than quickTimeout.
func (a *Authenticator) ProbeDomain(ctx context.Context, env agent.Environment) *Problem {
	o, err := a.newOperation("probe", env)
	if err != nil {
		return &Problem{Kind: ProblemSetting, Err: asError(err)}
	}
	o.command = "kyc-agentd doctor " + env.Name
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	problems := make([]*Problem, len(env.RedirectURIs))
	var all sync.WaitGroup
	for i, uri := range env.RedirectURIs {
		all.Go(func() { problems[i] = o.probeRedirect(ctx, uri) })
	}
	all.Wait()
	return o.worstOfDomain(problems)
}

// worstOfDomain returns one problem for all: a redirect URI that is missing is named with the
// others, because they are registered together.
func (o *operation) worstOfDomain(problems []*Problem) *Problem {
	var missing []string
	for i, p := range problems {
		switch {
		case p != nil && p.Kind != ProblemRedirect:
			return p
		case p != nil:
			missing = append(missing, o.env.RedirectURIs[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &Problem{Kind: ProblemRedirect, Err: o.errorf(agent.CodeConfiguration,
		"have the administrator add exactly that to the app client's allowed callback URLs, or correct redirect_uris of environment "+o.env.Name,
		"the app client %s does not have the callback URL %s", o.env.ClientID, strings.Join(missing, ", "))}
}

// probeRedirect opens the page for one redirect URI, as a browser would.
func (o *operation) probeRedirect(ctx context.Context, uri string) *Problem {
	if err := o.checkBrowser(uri); err != nil {
		return &Problem{Kind: ProblemSetting, Err: asError(err)}
	}
	attempt := managedlogin.Begin(managedlogin.Client{
		Domain: o.env.Domain, ID: o.env.ClientID, RedirectURI: uri, Scopes: o.env.Scopes, IdentityProvider: o.env.IdentityProvider,
	})
	started := time.Now()
	f := &failure{Failure: awscall.Failure{Call: awsCall("authorize", o.env.Domain)}}
	answer, err := o.openPage(ctx, attempt.URL())
	if err != nil {
		f.Explain(ctx.Err(), time.Since(started), err)
		return o.domainProblem(f, "check domain of environment "+o.env.Name+", the network and the VPN; then: "+o.rerunHint())
	}
	f.Status = answer.status
	switch code, kind := answer.refusal(attempt, uri); {
	case kind == ProblemRedirect:
		return &Problem{Kind: kind}
	case kind == ProblemClient:
		return &Problem{Kind: kind, Err: o.errorf(agent.CodeConfiguration,
			"check client_id and domain of environment "+o.env.Name+", which have to be of one user pool, and that the app client allows the authorization code grant",
			"the sign-in page of %s does not take the app client %s", f.Call.Host, o.env.ClientID)}
	case kind == ProblemRefused:
		return &Problem{Kind: kind, Err: asError(o.browserRefused(code))}
	case answer.location != nil:
		return nil
	}
	f.Text = fmt.Sprintf("%s answered HTTP %d instead of sending the browser to a sign-in page", f.Call.Host, f.Status)
	return o.domainProblem(f, "check domain of environment "+o.env.Name+": it is the user pool's, under Branding, Domain; then run: kyc-agentd reload")
}

func (o *operation) domainProblem(f *failure, hint string) *Problem {
	e := o.errorf(agent.CodeUnavailable, hint, "%s", f.Text)
	e.Err = f
	return &Problem{Kind: f.problemKind(), Err: e}
}

// A pageAnswer is what the domain answered to a browser.
type pageAnswer struct {
	status   int
	location *url.URL // where it sends the browser; nil if it shows a page
	body     []byte   // of an error page; never shown
}

func (o *operation) openPage(ctx context.Context, page string) (a pageAnswer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return a, err
	}
	req.Header.Set("Accept", "text/html")
	res, err := o.auth.http.Do(req) // follows no redirect
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	a.status = res.StatusCode
	if a.status >= 300 && a.status < 400 {
		a.location, err = res.Location()
		if errors.Is(err, http.ErrNoLocation) {
			err = nil
		}
		return a, err
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxErrorPage))
	return a, err
}

// refusal returns why the browser is not sent to a sign-in, or "" if it is, or if the reason is
// not known. Cognito sends the browser to its page /error?error=redirect_mismatch; other servers
// answer with a page. An error that is sent back to the redirect URI has a code.
func (a pageAnswer) refusal(attempt *managedlogin.Attempt, uri string) (code string, kind ProblemKind) {
	if a.location == nil {
		return "", a.refusalOfPage()
	}
	_, err := attempt.Code(a.location.String())
	refusal, ok := errors.AsType[managedlogin.Refusal](err)
	switch {
	case ok:
		return string(refusal), ProblemRefused
	case strings.HasPrefix(a.location.String(), uri):
		return "no reason", ProblemRefused
	case path.Base(a.location.Path) != "error":
		return "", ""
	case a.location.Query().Get("error") == "redirect_mismatch":
		return "", ProblemRedirect
	}
	return "", ProblemClient
}

func (a pageAnswer) refusalOfPage() ProblemKind {
	body := bytes.ToLower(a.body)
	switch {
	case a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized:
		return ""
	case bytes.Contains(body, []byte("redirect_mismatch")), bytes.Contains(body, []byte("redirect_uri")):
		return ProblemRedirect
	case bytes.Contains(body, []byte("client")):
		return ProblemClient
	}
	return ""
}
