package fakecognito

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

func newPool(t *testing.T, grace time.Duration) *Pool {
	t.Helper()
	p, err := New(Options{Name: "test", Grace: grace, Life: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// A reply is an answer of the pool.
type reply struct {
	Code                 string `json:"__type"`
	AuthenticationResult struct{ IdToken, RefreshToken string }
}

// call makes one call; an error is an answer that did not arrive.
func call(t *testing.T, p *Pool, op string, fields map[string]any) (reply, error) {
	t.Helper()
	fields["ClientId"] = p.ClientID()
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+op)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	var r reply
	return r, json.NewDecoder(resp.Body).Decode(&r)
}

func login(t *testing.T, p *Pool) string {
	t.Helper()
	r, err := call(t, p, "InitiateAuth", map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": map[string]string{"USERNAME": User, "PASSWORD": Password},
	})
	if err != nil || r.AuthenticationResult.RefreshToken == "" {
		t.Fatalf("login: %q, %v", r.Code, err)
	}
	if err := p.Check(r.AuthenticationResult.IdToken, time.Now()); err != nil {
		t.Fatal(err)
	}
	return r.AuthenticationResult.RefreshToken
}

func refresh(t *testing.T, p *Pool, token string) (next, code string, err error) {
	t.Helper()
	r, err := call(t, p, "GetTokensFromRefreshToken", map[string]any{"RefreshToken": token})
	return r.AuthenticationResult.RefreshToken, r.Code, err
}

func TestRotation(t *testing.T) {
	for _, tt := range []struct {
		grace       time.Duration
		again, fork string // what a replay of the first token, and then the token that it forked off, get
	}{
		{0, "RefreshTokenReuseException", ""},
		{time.Minute, "", "RefreshTokenReuseException"},
	} {
		p := newPool(t, tt.grace)
		first := login(t, p)
		second, code, err := refresh(t, p, first)
		if err != nil || code != "" || second == first {
			t.Fatalf("grace %s: %q, %v", tt.grace, code, err)
		}
		if _, code, _ := refresh(t, p, first); code != tt.again {
			t.Errorf("grace %s: a replay got %q, want %q", tt.grace, code, tt.again)
		}
		if _, code, _ := refresh(t, p, second); code != tt.fork {
			t.Errorf("grace %s: the second token got %q, want %q", tt.grace, code, tt.fork)
		}
		r, err := call(t, p, "RevokeToken", map[string]any{"Token": first})
		if err != nil || r.Code != "" || p.Live() != 0 {
			t.Errorf("grace %s: revoked: %q, %v, %d live", tt.grace, r.Code, err, p.Live())
		}
	}
}

// What the log says about an answer that was lost is what the checks of soak rely on.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		end             End
		code            string
		lost, processed bool
	}{
		{Answered, "", false, true},
		{ServerError, "InternalErrorException", false, false},
		{Throttled, "TooManyRequestsException", false, false},
		{LostBefore, "", true, false},
		{LostAfter, "", true, true},
		{CutAfter, "", true, true},
		{Revoked, "NotAuthorizedException", false, true},
	} {
		p := newPool(t, 0)
		token := login(t, p)
		p.Fail(Fault{Name: "it", End: tt.end, Times: 1})
		mark := p.Mark()
		_, code, err := refresh(t, p, token)
		if code != tt.code || (err != nil) != tt.lost {
			t.Errorf("%d: the client got %q, %v", tt.end, code, err)
		}
		c, err := p.Await(t.Context(), mark, func(c Call) bool { return !c.Ended.IsZero() })
		if err != nil || c.Fault != "it" || c.Delivered == tt.lost || c.Processed.IsZero() == tt.processed || c.Code != tt.code {
			t.Errorf("%d: the log has %+v, %v", tt.end, c, err)
		}
		if rotated := tt.processed && tt.code == ""; (c.Issued == 2) != rotated {
			t.Errorf("%d: it issued token %d", tt.end, c.Issued)
		}
		if got := p.takeFault(Refresh); got.Name != "" {
			t.Errorf("%d: the fault happens again", tt.end)
		}
	}
}

func TestCut(t *testing.T) {
	p := newPool(t, 0)
	token := login(t, p)
	p.Cut()
	if _, _, err := refresh(t, p, token); err == nil {
		t.Error("a call arrived")
	}
	if err := p.Restore(); err != nil {
		t.Fatal(err)
	}
	if _, code, err := refresh(t, p, token); err != nil || code != "" {
		t.Errorf("after that: %q, %v", code, err)
	}
}

func TestCheck(t *testing.T) {
	p, other := newPool(t, 0), newPool(t, 0)
	now := time.Now()
	token := p.idToken(now)
	if err := p.Check(token, now); err != nil {
		t.Error(err)
	}
	if p.Check(token, now.Add(21*time.Second)) == nil || other.Check(token, now) == nil || p.Check("", now) == nil || p.Check(token[1:], now) == nil {
		t.Error("a token of no use passes")
	}
}
