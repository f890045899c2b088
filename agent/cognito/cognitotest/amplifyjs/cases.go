package amplifyjs

import (
	"maps"
	"slices"
	"testing"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

// A Case is a sequence of steps that a client performs at a pool.
type Case struct {
	Name    string
	Options []cognitotest.Option
	Edit    func(*cognitotest.User) // changes the user, if necessary
	During  func(*cognitotest.Server, cognitotest.Call)

	Flow    string         // of the sign-in
	User    string         // to sign in as, "" for the user's name
	Answers map[string]any // in addition to the password: see the scripts
	Steps   [][]string     // verbs of the scripts, with their arguments

	Want string // the calls, in the form of Trace.String
	End  string // "" for "ok"
}

const (
	name        = "ada"
	address     = "ada@example.com"
	password    = "Pä$$w0rd-old"
	newPassword = "Pä$$w0rd-new"
	code        = "123456"
)

// open starts the case's pool.
func (c Case) open(t testing.TB) Trace {
	t.Helper()
	srv := cognitotest.New(append([]cognitotest.Option{cognitotest.Passwords(cognitotest.StandardPasswords())}, c.Options...)...)
	t.Cleanup(srv.Close)
	srv.AddUser(cognitotest.User{Name: name, Password: password, Email: address, Phone: "+15551234567"})
	if c.Edit != nil {
		srv.EditUser(name, c.Edit)
	}
	if c.During != nil {
		srv.OnCall(func(call cognitotest.Call) { c.During(srv, call) })
	}
	u, _ := srv.User(name)
	return Trace{Case: c, Server: srv, User: u}
}

// request returns the case in the form that the scripts read.
func (tr Trace) request() map[string]any {
	r := map[string]any{
		"name": tr.Case.Name, "endpoint": tr.Server.URL, "pool": tr.Server.PoolID, "client": tr.Server.ClientID,
		"user": tr.Case.User, "flow": tr.Case.Flow, "steps": tr.Case.Steps,
		"password": password, "newPassword": newPassword, "code": code, "secret": tr.User.TOTPSecret,
	}
	if tr.Case.User == "" {
		r["user"] = name
	}
	maps.Copy(r, tr.Case.Answers)
	return r
}

// Cases returns the cases of a client.
func Cases(client Client) []Case {
	if client == Amplify {
		return slices.Concat(amplifySignIns(), amplifyChoices(), amplifyDevices(), amplifyRecovery())
	}
	return slices.Concat(identitySignIns(), identityDevices(), identityRecovery())
}

func steps(list ...[]string) [][]string { return list }

func do(verb string, args ...string) []string { return append([]string{verb}, args...) }

func mfa(kinds ...string) func(*cognitotest.User) {
	return func(u *cognitotest.User) { u.MFA = kinds }
}

func status(s cognitotest.Status) func(*cognitotest.User) {
	return func(u *cognitotest.User) { u.Status = s }
}

func questions(u *cognitotest.User) {
	u.Custom = []cognitotest.Question{
		{Parameters: map[string]string{"question": "first pet"}, Answer: "rex"},
		{Parameters: map[string]string{"question": "first car"}, Answer: "mini"},
	}
}

func options(list ...cognitotest.Option) []cognitotest.Option { return list }
