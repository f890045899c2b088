package fakecognito

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var discard = log.New(io.Discard, "", 0)

// A request has the fields of all calls that the pool knows.
type request struct {
	AuthFlow       string
	ClientId       string // spelled as on the wire, like the names below
	AuthParameters map[string]string
	RefreshToken   string
	Token          string
}

// A refusal is an error answer.
type refusal struct {
	Status  int    `json:"-"`
	Code    string `json:"__type"`
	Message string `json:"message"`
}

func notAuthorized(message string) *refusal {
	return &refusal{http.StatusBadRequest, "NotAuthorizedException", message}
}

// handle serves the API, in AWS's JSON 1.1 protocol, and the signing keys.
func (p *Pool) handle(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		p.answerCall(w, r, Keys, func(*Call) (any, *refusal) { return p.keySet(), nil })
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	var in request
	if err != nil || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op == "InitiateAuth" {
		op += " " + in.AuthFlow
	}
	p.answerCall(w, r, op, func(c *Call) (any, *refusal) { return p.process(op, in, c) })
}

// answerCall makes one call with its fault, and logs it. It does not end early when the
// client disconnects, as Cognito does not.
func (p *Pool) answerCall(w http.ResponseWriter, r *http.Request, op string, process func(*Call) (any, *refusal)) {
	n, f := p.begin(op)
	time.Sleep(f.Before)
	var out any
	var no *refusal
	switch f.End {
	case ServerError:
		no = &refusal{http.StatusInternalServerError, "InternalErrorException", "Internal error"}
	case Throttled:
		no = &refusal{http.StatusBadRequest, "TooManyRequestsException", "Too many requests"}
	case LostBefore:
	case Revoked:
		p.SignOut()
		fallthrough
	default:
		p.update(n, func(c *Call) {
			c.Processed = time.Now()
			out, no = process(c)
		})
	}
	time.Sleep(f.After)
	status, body := render(out, no)
	delivered := f.deliver(w, r, status, body)
	p.update(n, func(c *Call) {
		c.Ended, c.Delivered = time.Now(), delivered
		if delivered {
			c.Status = status
		}
		if no != nil {
			c.Code = no.Code
		}
	})
}

// deliver answers, or loses the answer, and reports whether the client could read it.
func (f Fault) deliver(w http.ResponseWriter, r *http.Request, status int, body []byte) bool {
	switch f.End {
	case LostBefore, LostAfter:
		reset(w, nil)
		return false
	case CutAfter:
		head := fmt.Sprintf("HTTP/1.1 %d OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n", status, len(body))
		reset(w, append([]byte(head), body[:len(body)/2]...))
		return false
	}
	there := r.Context().Err() == nil // asked before, because a client that has read it all may disconnect at once
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err == nil && http.NewResponseController(w).Flush() == nil && there
}

func render(out any, no *refusal) (int, []byte) {
	status := http.StatusOK
	if no != nil {
		status, out = no.Status, no
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic("fakecognito: " + err.Error())
	}
	return status, body
}

// process acts on a call. The caller holds mu.
func (p *Pool) process(op string, in request, c *Call) (any, *refusal) {
	if in.ClientId != p.ClientID() {
		return nil, &refusal{http.StatusBadRequest, "ResourceNotFoundException", "User pool client does not exist."}
	}
	switch op {
	case Login:
		return p.login(in, c)
	case Fallback:
		return nil, notAuthorized("Invalid Refresh Token.") // how Cognito refuses this call is not documented; this is the worst case
	case Refresh:
		return p.refresh(in, c)
	case Revoke:
		return p.revoke(in, c)
	}
	return nil, &refusal{http.StatusBadRequest, "UnknownOperationException", ""}
}

func (p *Pool) login(in request, c *Call) (any, *refusal) {
	if in.AuthParameters["USERNAME"] != User || in.AuthParameters["PASSWORD"] != Password {
		return nil, notAuthorized("Incorrect username or password.")
	}
	return p.issue(p.newFamily(), c), nil
}

func (p *Pool) refresh(in request, c *Call) (any, *refusal) {
	t := p.tokens[in.RefreshToken]
	if t == nil {
		return nil, notAuthorized("Invalid Refresh Token.")
	}
	c.Family, c.Presented = t.family.number, t.generation
	switch {
	case t.family.revoked:
		return nil, notAuthorized("Refresh Token has been revoked")
	case !p.usable(t):
		return nil, &refusal{http.StatusBadRequest, "RefreshTokenReuseException", "Refresh token reuse detected"}
	}
	return p.issue(p.rotate(t), c), nil
}

// revoke ends a sign-in, given its newest refresh token or its first one. Other tokens get
// the same answer.
func (p *Pool) revoke(in request, c *Call) (any, *refusal) {
	if t := p.tokens[in.Token]; t != nil {
		c.Family, c.Presented = t.family.number, t.generation
		if t == t.family.newest() || t.generation == 1 {
			t.family.revoked = true
		}
	}
	return struct{}{}, nil
}

// issue returns the answer that hands out t.
func (p *Pool) issue(t *refreshToken, c *Call) any {
	c.Family, c.Issued = t.family.number, t.generation
	return map[string]any{
		"ChallengeParameters": map[string]string{},
		"AuthenticationResult": map[string]any{
			"AccessToken": "access-" + t.value[:16], "ExpiresIn": 3600, "TokenType": "Bearer",
			"IdToken": p.idToken(time.Now()), "RefreshToken": t.value,
		},
	}
}
