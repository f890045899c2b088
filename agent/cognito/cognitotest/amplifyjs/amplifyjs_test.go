package amplifyjs_test

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest/amplifyjs"
)

func TestClients(t *testing.T) {
	for client, want := range map[amplifyjs.Client]string{
		amplifyjs.Identity: "AssociateSoftwareToken CUSTOM_AUTH CUSTOM_CHALLENGE ChangePassword ConfirmDevice ConfirmForgotPassword ConfirmSignUp " +
			"DEVICE_PASSWORD_VERIFIER DEVICE_SRP_AUTH ForgetDevice ForgotPassword GlobalSignOut MFA_SETUP NEW_PASSWORD_REQUIRED PASSWORD_VERIFIER " +
			"REFRESH_TOKEN_AUTH ResendConfirmationCode RevokeToken SELECT_MFA_TYPE SMS_MFA SOFTWARE_TOKEN_MFA USER_PASSWORD_AUTH USER_SRP_AUTH " +
			"UpdateDeviceStatus VerifySoftwareToken",
		amplifyjs.Amplify: "AssociateSoftwareToken CUSTOM_AUTH CUSTOM_CHALLENGE ChangePassword ConfirmDevice ConfirmForgotPassword ConfirmSignUp " +
			"DEVICE_PASSWORD_VERIFIER DEVICE_SRP_AUTH EMAIL_OTP ForgetDevice ForgotPassword GetTokensFromRefreshToken GlobalSignOut MFA_SETUP " +
			"NEW_PASSWORD_REQUIRED PASSWORD_VERIFIER ResendConfirmationCode RevokeToken SELECT_CHALLENGE SELECT_MFA_TYPE SMS_MFA SMS_OTP " +
			"SOFTWARE_TOKEN_MFA USER_AUTH USER_PASSWORD_AUTH USER_SRP_AUTH UpdateDeviceStatus VerifySoftwareToken",
	} {
		t.Run(string(client), func(t *testing.T) {
			t.Parallel()
			traces := amplifyjs.Run(t, client)
			for _, tr := range traces {
				t.Run(tr.Case.Name, func(t *testing.T) { check(t, tr) })
			}
			results := amplifyjs.Results(traces)
			maps.DeleteFunc(results, func(_, r string) bool { return r != "pass" })
			if got := strings.Join(slices.Sorted(maps.Keys(results)), " "); got != want {
				t.Errorf("passed: %s\nwant:   %s", got, want)
			}
		})
	}
}

// refreshTokens is the number of refresh tokens in a case: with rotation each refresh brings
// another one.
var refreshTokens = map[string]int{"rotation": 3, "rotation with grace": 2, "password by USER_SRP_AUTH": 1}

func check(t *testing.T, tr amplifyjs.Trace) {
	if got := tr.String(); got != tr.Case.Want {
		t.Errorf("calls: %s\nwant:  %s", got, tr.Case.Want)
	}
	if want := cmp.Or(tr.Case.End, "ok"); tr.End != want {
		t.Errorf("ended with %s, want %s", tr.End, want)
	}
	sessions := tr.Sessions(t)
	if tr.End == "ok" && len(sessions) == 0 {
		t.Error("no session was shown")
	}
	for i, s := range sessions {
		if s.ID["sub"] != tr.User.Sub || s.Access["sub"] != tr.User.Sub || s.ID["cognito:username"] != tr.User.Name {
			t.Errorf("session %d is of %v (%v), want %s", i, s.ID["cognito:username"], s.ID["sub"], tr.User.Sub)
		}
		if s.Valid != nil && !*s.Valid {
			t.Errorf("session %d is not valid", i)
		}
	}
	if want := refreshTokens[tr.Case.Name]; want != 0 {
		seen := map[string]bool{}
		for _, s := range sessions {
			seen[s.Refresh] = true
		}
		if len(seen) != want {
			t.Errorf("%d refresh tokens, want %d", len(seen), want)
		}
	}
	if last := tr.Calls[len(tr.Calls)-1]; last.Name == "RevokeToken" || last.Name == "GlobalSignOut" {
		isRevoked(t, tr.Server, sessions)
	}
}

// isRevoked checks that no refresh token of the ended sign-in is accepted any more.
func isRevoked(t *testing.T, srv *cognitotest.Server, sessions []amplifyjs.Session) {
	t.Helper()
	for i, s := range sessions {
		if got := refresh(t, srv, s.Refresh); !strings.Contains(got, "Refresh Token has been revoked") {
			t.Errorf("refresh by session %d after the sign-out: %s", i, got)
		}
	}
}

func refresh(t *testing.T, srv *cognitotest.Server, token string) string {
	t.Helper()
	body := fmt.Sprintf(`{"ClientId":%q,"RefreshToken":%q}`, srv.ClientID, token)
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.GetTokensFromRefreshToken")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestResults(t *testing.T) {
	traces := []amplifyjs.Trace{
		{End: "ok", Calls: []amplifyjs.Call{{"A", "XException"}, {"A", "ok"}, {"B", "C"}, {"D", "YException"}}},
		{End: "ok", Calls: []amplifyjs.Call{{"B", "XException"}}},
		{End: "Error: x", Calls: []amplifyjs.Call{{"E", "ok"}}},
	}
	want := map[string]string{"A": "pass", "B": "pass", "D": "YException"}
	if got := amplifyjs.Results(traces); !maps.Equal(got, want) {
		t.Errorf("results %v, want %v", got, want)
	}
}
