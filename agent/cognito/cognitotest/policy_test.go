package cognitotest_test

import (
	"testing"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// newPassword answers NEW_PASSWORD_REQUIRED of a new sign-in.
func newPassword(t *testing.T, srv *cognitotest.Server, current, next string) string {
	t.Helper()
	srv.EditUser(userName, func(u *cognitotest.User) { u.Status = cognitotest.ForceChangePassword })
	out := call(t, srv, "InitiateAuth", passwordAuth(srv, userName, current))
	return answer(t, srv, out, m{"NEW_PASSWORD": next}).result()
}

func TestPasswordPolicy(t *testing.T) {
	const no = "InvalidPasswordException: Password did not conform with policy: "
	all := cognitotest.StandardPasswords()
	tests := []struct {
		password string
		policy   cognitotest.PasswordPolicy
		want     string
	}{
		{"Aa1!aaaa", all, "ok"},
		{"Aa1 aaaa", all, "ok"},
		{"Aa1!aaa", all, no + "Password not long enough"},
		{"Aa1!äöü", all, no + "Password not long enough"},
		{"Aa1!äöüß", all, "ok"},
		{"AA1!AAAA", all, no + "Password must have lowercase characters"},
		{"aa1!aaaa", all, no + "Password must have uppercase characters"},
		{"ää1!ÄÄÄÄ", all, no + "Password must have lowercase characters"},
		{"Aaa!aaaa", all, no + "Password must have numeric characters"},
		{"Aa1aaaaa", all, no + "Password must have symbol characters"},
		{" Aa1aaaa ", all, no + "Password must have symbol characters"},
		{"12341234", all, no + "Password must have lowercase characters"},
		{"TestTest", all, no + "Password must have numeric characters"},
		{"aaaaaa", cognitotest.PasswordPolicy{MinLength: 6}, "ok"},
		{"aaaaaaaaaaa", cognitotest.PasswordPolicy{MinLength: 12}, no + "Password not long enough"},
	}
	for _, tt := range tests {
		t.Run(tt.password, func(t *testing.T) {
			srv := start(t, cognitotest.Passwords(tt.policy))
			equal(t, "new password", newPassword(t, srv, password, tt.password), tt.want)
		})
	}
}

func TestPasswordHistory(t *testing.T) {
	const used = "PasswordHistoryPolicyViolationException: Password has previously been used."
	policy := cognitotest.StandardPasswords()
	policy.History = 2
	srv := start(t, cognitotest.Passwords(policy))
	steps := []struct{ current, next, want string }{
		{password, password, used},
		{password, "Second-Horse-2", "ok"},
		{"Second-Horse-2", password, used},
		{"Second-Horse-2", "Third-Horse-3", "ok"},
		{"Third-Horse-3", "Second-Horse-2", used},
		{"Third-Horse-3", password, "ok"}, // two others since
	}
	for _, s := range steps {
		equal(t, s.current+" to "+s.next, newPassword(t, srv, s.current, s.next), s.want)
	}
	srv.EditUser(userName, func(u *cognitotest.User) { u.Password = "Fourth-Horse-4" })
	equal(t, "an administrator's change counts", newPassword(t, srv, "Fourth-Horse-4", password), used)
}

func TestTemporaryPasswordExpires(t *testing.T) {
	const over = "NotAuthorizedException: Temporary password has expired and must be reset by an administrator."
	clock := newClock()
	srv := start(t, cognitotest.Now(clock.Now))
	srv.AddUser(cognitotest.User{Name: "bob", Password: password, Status: cognitotest.ForceChangePassword})
	const week = 7 * 24 * time.Hour
	clock.Advance(week - 1)
	equal(t, "in time", try(t, srv, "bob", password), "NEW_PASSWORD_REQUIRED")
	clock.Advance(1)
	equal(t, "late", try(t, srv, "bob", password), over)
	equal(t, "late and wrong", try(t, srv, "bob", "x"), bad)
	srv.EditUser("bob", func(u *cognitotest.User) { u.Password = "Another-1" })
	equal(t, "a new temporary one", try(t, srv, "bob", "Another-1"), "NEW_PASSWORD_REQUIRED")
	srv.Set(cognitotest.Passwords(cognitotest.PasswordPolicy{MinLength: 8, Temporary: time.Hour}))
	clock.Advance(time.Hour)
	equal(t, "by another policy", try(t, srv, "bob", "Another-1"), over)
	srv.Set(cognitotest.Passwords(cognitotest.PasswordPolicy{MinLength: 8}))
	equal(t, "by a policy without an end", try(t, srv, "bob", "Another-1"), "NEW_PASSWORD_REQUIRED")
	equal(t, "a password of one's own", try(t, srv, userName, password), "ok")
}
