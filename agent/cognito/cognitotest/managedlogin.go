package cognitotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file is the pool's domain: the pages of managed login, and its OAuth 2.0 endpoints.
// https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-userpools-server-contract-reference.html
//
// GET /oauth2/authorize checks the client and redirects to /login, which has a form. Its answer,
// a POST, checks the password and redirects to the callback URL with a code.

// adminScope allows an access token to change the user's account.
const adminScope = "aws.cognito.signin.user.admin"

// An authorization is a code, and the sign-in that it stands for.
type authorization struct {
	user                           *user
	client, redirectURI, challenge string
	nonce, scope                   string
	expires                        time.Time
	used                           bool
}

// RedirectURIs registers callback URLs of the app clients.
func RedirectURIs(uris ...string) Setting {
	return func(c *settings) { c.redirectURIs = slices.Clone(uris) }
}

// LogoutURIs registers sign-out URLs of the app clients.
func LogoutURIs(uris ...string) Setting {
	return func(c *settings) { c.logoutURIs = slices.Clone(uris) }
}

// Scopes names the scopes that the app clients allow; the default are those of OpenID Connect and
// aws.cognito.signin.user.admin.
func Scopes(names ...string) Setting { return func(c *settings) { c.scopes = slices.Clone(names) } }

// Nonce is the nonce of ID tokens of sign-ins at the domain; with "" it is the client's, as by
// default.
func Nonce(nonce string) Setting { return func(c *settings) { c.nonce = nonce } }

// OmitRefreshToken leaves the refresh token out of the answers of /oauth2/token.
func OmitRefreshToken(on bool) Setting { return func(c *settings) { c.withoutRefreshToken = on } }

// Domain returns the URL of the pool's domain.
func (s *Server) Domain() string { return s.URL }

func (s *Server) addManagedLogin(mux *http.ServeMux) {
	mux.HandleFunc("GET /oauth2/authorize", s.serveAuthorize)
	mux.HandleFunc("GET /login", s.serveLoginPage)
	mux.HandleFunc("POST /login", s.serveLoginForm)
	mux.HandleFunc("POST /oauth2/token", s.serveToken)
	mux.HandleFunc("GET /logout", s.serveLogout)
	mux.HandleFunc("GET /error", func(w http.ResponseWriter, r *http.Request) { s.errorPage(w, r.URL.Query().Get("error")) })
}

const redirectMismatch = "redirect_mismatch"

// errorPage is what the domain shows if there is nowhere to send the browser.
func (s *Server) errorPage(w http.ResponseWriter, message string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, "<!DOCTYPE html><title>Error</title><h1>An error was encountered with the requested page.</h1><p>%s</p>", html.EscapeString(message))
}

// checkAuthorize returns why the browser cannot be sent anywhere, or the OAuth error with which
// it is sent back.
func (s *Server) checkAuthorize(q url.Values) (page, oauth string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scopes := strings.Fields(q.Get("scope"))
	switch {
	case !s.clients[q.Get("client_id")]:
		return "Client " + q.Get("client_id") + " does not exist.", ""
	case !slices.Contains(s.set.redirectURIs, q.Get("redirect_uri")):
		return redirectMismatch, ""
	case q.Get("response_type") != "code":
		return "", "unsupported_response_type"
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		return "", "invalid_request"
	case slices.ContainsFunc(scopes, func(name string) bool { return !slices.Contains(s.set.scopes, name) }):
		return "", "invalid_scope"
	}
	return "", ""
}

func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	s.recordPage(AuthorizeEndpoint, r, nil)
	q := r.URL.Query()
	switch page, oauth := s.checkAuthorize(q); {
	case page == redirectMismatch: // as of Cognito, seen in 2026
		http.Redirect(w, r, "/error?"+url.Values{"error": {page}, "client_id": {q.Get("client_id")}}.Encode(), http.StatusFound)
	case page != "":
		s.errorPage(w, page)
	case oauth != "":
		s.sendBack(w, r, q, url.Values{"error": {oauth}, "error_description": {"refused"}})
	default:
		http.Redirect(w, r, "/login?"+r.URL.RawQuery, http.StatusFound)
	}
}

// sendBack redirects the browser to the callback URL of the request q.
func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, q, answer url.Values) {
	if state := q.Get("state"); state != "" {
		answer.Set("state", state)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (s *Server) serveLoginPage(w http.ResponseWriter, r *http.Request) { s.loginPage(w, r, "") }

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request, problem string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>Sign in</title><h1>Sign in</h1><p role="alert">%s</p>
<form method="post"><label>Username <input name="username" value="%s" autofocus></label>
<label>Password <input name="password" type="password"></label>
<button name="go" value="signin">Sign in</button> <button name="go" value="cancel">Cancel</button></form>
`, html.EscapeString(problem), html.EscapeString(r.URL.Query().Get("login_hint")))
}

func (s *Server) serveLoginForm(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if page, oauth := s.checkAuthorize(q); page+oauth != "" {
		s.errorPage(w, page+oauth)
		return
	}
	if r.PostFormValue("go") == "cancel" {
		s.sendBack(w, r, q, url.Values{"error": {"access_denied"}, "error_description": {"User cancelled"}})
		return
	}
	code, err := s.authorize(q, r.PostFormValue("username"), r.PostFormValue("password"))
	if err != nil {
		s.loginPage(w, r, err.Error())
		return
	}
	s.sendBack(w, r, q, url.Values{"code": {code}})
}

// authorize checks a password and returns a code for the request q.
func (s *Server) authorize(q url.Values, name, password string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.findOrRefuse(name)
	if err == nil {
		err = s.firstFactor(u, u.passwordIs(password))
	}
	if err != nil {
		return "", err
	}
	code := newUUID()
	s.codes[code] = &authorization{
		user: u, client: q.Get("client_id"), redirectURI: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
		nonce: q.Get("nonce"), scope: q.Get("scope"), expires: s.now().Add(s.set.codeLifetime),
	}
	return code, nil
}

// Authorize is what a browser does at page, the URL of /oauth2/authorize: it signs in and returns
// the callback, the address to which the domain sends it.
func (s *Server) Authorize(page, username, password string) (callback string, err error) {
	u, err := url.Parse(page)
	if err != nil {
		return "", err
	}
	form := url.Values{"username": {username}, "password": {password}}
	client := *s.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.PostForm(s.URL+"/login?"+u.RawQuery, form)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusFound {
		return "", fmt.Errorf("cognitotest: the sign-in page answered HTTP %d", res.StatusCode)
	}
	return res.Header.Get("Location"), nil
}

// oauthError is the body of a refusal of /oauth2/token.
type oauthError struct {
	Error string `json:"error"`
}

// oauthTokens is the body of /oauth2/token.
type oauthTokens struct {
	IDToken      string `json:"id_token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	call := s.recordPage(TokenEndpoint, r, []byte(r.PostForm.Encode()))
	s.answerWithFaults(w, r, call, func() (int, string, []byte) {
		tokens, refusal := s.exchange(r)
		if refusal != "" {
			return http.StatusBadRequest, "", mustJSON(oauthError{refusal})
		}
		return http.StatusOK, "", mustJSON(tokens)
	})
}

// exchange trades a code for tokens, or returns the OAuth error.
func (s *Server) exchange(r *http.Request) (tokens oauthTokens, refusal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	form := r.PostForm
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	switch {
	case !s.clients[id] || secret != s.set.secret:
		return tokens, "invalid_client"
	case form.Get("grant_type") != "authorization_code":
		return tokens, "unsupported_grant_type"
	case form.Get("code") == "" || form.Get("redirect_uri") == "":
		return tokens, "invalid_request"
	}
	a := s.codes[form.Get("code")]
	if a == nil || a.used {
		return tokens, "invalid_grant"
	}
	a.used = true // also if the call fails
	if a.client != id || a.redirectURI != form.Get("redirect_uri") || !s.now().Before(a.expires) || !a.verifies(form.Get("code_verifier")) {
		return tokens, "invalid_grant"
	}
	f := s.newFamily(a.user, id)
	f.nonce, f.scope = a.nonce, a.scope
	s.counts.signIns++
	issued := s.issue(a.user, f, f.live().value)
	tokens = oauthTokens{issued.IdToken, issued.AccessToken, issued.RefreshToken, int(s.set.accessLifetime / time.Second), "Bearer"}
	if s.set.withoutRefreshToken {
		tokens.RefreshToken = ""
	}
	return tokens, ""
}

// verifies reports whether the PKCE verifier is the one of the challenge.
func (a *authorization) verifies(verifier string) bool {
	if a.challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return hmac.Equal([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(a.challenge))
}

func (s *Server) serveLogout(w http.ResponseWriter, r *http.Request) {
	s.recordPage(LogoutEndpoint, r, nil)
	s.mu.Lock()
	known := s.clients[r.URL.Query().Get("client_id")] && slices.Contains(s.set.logoutURIs, r.URL.Query().Get("logout_uri"))
	s.mu.Unlock()
	if !known {
		s.errorPage(w, redirectMismatch)
		return
	}
	http.Redirect(w, r, r.URL.Query().Get("logout_uri"), http.StatusFound)
}

// recordPage records a request of the domain like a call of the API.
func (s *Server) recordPage(name string, r *http.Request, body []byte) Call {
	call := newCall(name, r, body)
	s.calls.record(s, call)
	return call
}
