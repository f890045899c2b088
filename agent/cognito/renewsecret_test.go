package cognito_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/internal/testlog"
)

// A renewable is an app client whose secret is replaced, and the file of its secret.
type renewable struct {
	srv   *cognitotest.Server
	auth  *cognito.Authenticator
	env   agent.Environment
	log   testlog.Buffer
	file  string // what it holds
	err   error  // why it cannot be read
	reads int
}

const newSecret = "sekrit-other-secret"

func newRenewable(t *testing.T, flow agent.AuthFlow) *renewable {
	t.Helper()
	r := &renewable{srv: start(t, cognitotest.ClientSecret(clientSecret), cognitotest.Rotation(0)), file: clientSecret}
	r.auth = cognito.New(cognito.Options{Logger: r.log.Logger()})
	r.env = environment(r.srv)
	r.env.AuthFlow = flow
	r.env.ClientSecret = agent.NewClientSecret(agent.NewSecret(clientSecret), func() (agent.Secret, error) {
		r.reads++
		return agent.NewSecret(r.file), r.err
	})
	return r
}

// renewableCalls are all calls of Cognito's API that prove the client secret.
var renewableCalls = []struct {
	name string
	flow agent.AuthFlow
	call string // the first call, which is refused
	do   func(ctx context.Context, r *renewable, s agent.SignIn) error
}{
	{"sign-in", agent.FlowPassword, "InitiateAuth", login},
	{"sign-in with SRP", agent.FlowSRP, "InitiateAuth", login},
	{"sign-in by choice", agent.FlowChoice, "InitiateAuth", login},
	{"refresh", "", "GetTokensFromRefreshToken", func(ctx context.Context, r *renewable, s agent.SignIn) error {
		_, err := r.auth.Refresh(ctx, r.env, s, nobody)
		return err
	}},
	{"refresh without rotation", "", "InitiateAuth", func(ctx context.Context, r *renewable, s agent.SignIn) error {
		r.srv.Set(cognitotest.NoRotation())
		s.RefreshAPI = "initiate-auth"
		_, err := r.auth.Refresh(ctx, r.env, s, nobody)
		return err
	}},
	{"revocation", "", "RevokeToken", func(ctx context.Context, r *renewable, s agent.SignIn) error {
		return r.auth.Revoke(ctx, r.env, s)
	}},
	{"recovery", "", "ForgotPassword", func(ctx context.Context, r *renewable, _ agent.SignIn) error {
		req := agent.RecoverRequest{Action: agent.RecoverReset, Username: username}
		return r.auth.Recover(ctx, r.env, req, func(context.Context, agent.Challenge) (agent.Answers, error) {
			return agent.Answers{"code": agent.NewSecret("123456"), "new_password": agent.NewSecret(password + "2"), "new_password_again": agent.NewSecret(password + "2")}, nil
		})
	}},
}

func login(ctx context.Context, r *renewable, _ agent.SignIn) error {
	_, err := r.auth.Login(ctx, r.env, ada(), nobodyThere)
	return err
}

// callsOf returns how many calls of op there were.
func (r *renewable) callsOf(op string) (n int) {
	for _, c := range r.srv.Log() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// check fails the test unless op was called n times, the file was read reads times, and no
// secret is in the log.
func (r *renewable) check(t *testing.T, op string, n, reads int) {
	t.Helper()
	if got := r.callsOf(op); got != n || r.reads != reads {
		t.Errorf("%d calls of %s and %d reads of the file, want %d and %d", got, op, r.reads, n, reads)
	}
	if log := r.log.String(); strings.Contains(log, "sekrit") {
		t.Errorf("a secret in the log:\n%s", log)
	}
}

// The app client has another secret, and the file of the secret has it, too: each call goes
// on with one call more, and the calls after it with none.
func TestClientSecretIsRenewed(t *testing.T) {
	for _, test := range renewableCalls {
		t.Run(test.name, func(t *testing.T) {
			r := newRenewable(t, test.flow)
			s := signIn(t, r.auth, r.env).SignIn
			r.srv.Set(cognitotest.ClientSecret(newSecret))
			r.file = newSecret
			r.srv.ForgetCalls()
			if err := test.do(t.Context(), r, s); err != nil {
				t.Fatal(err)
			}
			r.check(t, test.call, 2, 1)
			if !strings.Contains(r.log.String(), "its file has another one now") {
				t.Errorf("the log does not say so:\n%s", r.log.String())
			}
			r.srv.ForgetCalls()
			if err := login(t.Context(), r, s); err != nil && test.name != "recovery" {
				t.Error(err)
			}
			r.check(t, "InitiateAuth", 1, 1)
		})
	}
}

// The file has the refused secret, another wrong one, or cannot be read: the error is what it
// was, after one look at the file.
func TestClientSecretIsNotRenewed(t *testing.T) {
	for _, file := range []struct {
		name, holds  string
		err          error
		calls, reads int
	}{
		{"the same", clientSecret, nil, 1, 1},
		{"another wrong one", "sekrit-wrong", nil, 2, 1},
		{"unreadable", newSecret, errors.New("cannot read /f: no such file"), 1, 1},
	} {
		for _, test := range renewableCalls {
			t.Run(file.name+", "+test.name, func(t *testing.T) {
				r := newRenewable(t, test.flow)
				s := signIn(t, r.auth, r.env).SignIn
				r.srv.Set(cognitotest.ClientSecret(newSecret))
				r.file, r.err = file.holds, file.err
				r.srv.ForgetCalls()
				err := test.do(t.Context(), r, s)
				wantError(t, err, agent.CodeConfiguration, "the configured client secret is not the one of the app client", "check client_secret_file")
				r.check(t, test.call, file.calls, file.reads)
				if file.err != nil && !strings.Contains(r.log.String(), "cannot read /f: no such file") {
					t.Errorf("the log does not say why:\n%s", r.log.String())
				}
			})
		}
	}
}

// The secret is replaced while a person reads a code: the answer is sent again with the new one.
func TestClientSecretIsRenewedAtAChallenge(t *testing.T) {
	for _, flow := range []agent.AuthFlow{agent.FlowPassword, agent.FlowSRP} {
		r := newRenewable(t, flow)
		r.srv.EditUser(username, func(u *cognitotest.User) { u.MFA = []string{"SMS_MFA"} })
		answers := 2
		if flow == agent.FlowSRP {
			answers++ // PASSWORD_VERIFIER
		}
		_, err := r.auth.Login(t.Context(), r.env, ada(), func(context.Context, agent.Challenge) (agent.Answers, error) {
			r.srv.Set(cognitotest.ClientSecret(newSecret))
			r.file = newSecret
			return agent.Answers{"code": agent.NewSecret("123456")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.check(t, "RespondToAuthChallenge", answers, 1)
	}
}
