package cognito_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/legaltalent/kyc-agent/agent"
	"github.com/legaltalent/kyc-agent/agent/cognito"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitolocal"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest/amplifyjs"
	"github.com/legaltalent/kyc-agent/internal/testpeer"
)

// A tableRow is one challenge, flow or operation of Cognito.
type tableRow struct {
	name string
	// calls must succeed on the wire, by their names in amplifyjs.Call: the row's own first, then
	// those without which it is another row. In a cell without a pass it is the first that failed.
	calls []string

	run     scenario                // what our own client does; nil means that it signs in
	flow    agent.AuthFlow          // of its sign-ins
	options []cognitotest.Option    // of the pool
	edit    func(*cognitotest.User) // of its user, at cognito-local too

	jsCase string // the one case of the JavaScript clients that will do; empty means any
	word   string // what a JavaScript client's code must have; empty means calls

	// What each cell must say, as measured; words in brackets may follow. Empty means "pass".
	own, identity, amplify, local string
}

// Cells that are not "pass".
const (
	unsupported = "no: HTTP 500 Unsupported"
	notInCode   = "no: not in its code"
	noUserAuth  = "no: USER_AUTH not in its code"
	inNoCase    = "no: in none of its cases"
)

func tableRows() []tableRow {
	return slices.Concat(tableOfPasswords(), tableOfChoices(), tableOfChallenges(), tableOfDevices(), tableOfTokens(), tableOfAccounts())
}

func tableOfPasswords() []tableRow {
	return []tableRow{
		{name: "USER_PASSWORD_AUTH", calls: []string{"USER_PASSWORD_AUTH"}},
		{name: "USER_SRP_AUTH", calls: []string{"USER_SRP_AUTH", "PASSWORD_VERIFIER"}, flow: agent.FlowSRP, local: unsupported},
		{name: "PASSWORD_VERIFIER", calls: []string{"PASSWORD_VERIFIER"}, flow: agent.FlowSRP, local: unsupported},
	}
}

// tableOfChoices has USER_AUTH and the challenges that only USER_AUTH sends. PASSWORD and
// PASSWORD_SRP are sent to a client that prefers them and does not send the password at once.
func tableOfChoices() []tableRow {
	rows := []tableRow{
		{name: "USER_AUTH", calls: []string{"USER_AUTH"}, identity: notInCode},
		{name: "SELECT_CHALLENGE, PASSWORD", calls: []string{"SELECT_CHALLENGE", "USER_AUTH"}, run: chooses("PASSWORD"),
			jsCase: "choice of password, chosen", identity: notInCode},
		{name: "SELECT_CHALLENGE, PASSWORD_SRP", calls: []string{"SELECT_CHALLENGE", "USER_AUTH", "PASSWORD_VERIFIER"}, run: chooses("PASSWORD_SRP"),
			jsCase: "choice of SRP, chosen", identity: notInCode},
		{name: "PASSWORD", calls: []string{"PASSWORD", "USER_AUTH"}, run: prefers("PASSWORD"),
			identity: noUserAuth, amplify: inNoCase + " (it sends the password with its choice)"},
		{name: "PASSWORD_SRP", calls: []string{"PASSWORD_SRP", "USER_AUTH", "PASSWORD_VERIFIER"}, run: prefers("PASSWORD_SRP"),
			identity: notInCode, amplify: inNoCase + " (it sends SRP_A with its choice)"},
		{name: "EMAIL_OTP, first factor", calls: []string{"EMAIL_OTP", "USER_AUTH", "SELECT_CHALLENGE"}, run: chooses("EMAIL_OTP"), identity: notInCode},
		{name: "SMS_OTP, first factor", calls: []string{"SMS_OTP", "USER_AUTH", "SELECT_CHALLENGE"}, run: chooses("SMS_OTP"), identity: notInCode},
		{name: "WEB_AUTHN", calls: []string{"WEB_AUTHN"}, run: isPutPasskey, edit: func(u *cognitotest.User) { u.Passkey = true },
			own:      "no: Cognito asks for a passkey (WEB_AUTHN), which only a browser can use",
			identity: notInCode, amplify: inNoCase + " (it takes a browser)"},
	}
	for i := range rows {
		rows[i].flow, rows[i].local = agent.FlowChoice, unsupported
	}
	return rows
}

func tableOfChallenges() []tableRow {
	const sms, mail, app = "SMS_MFA", "EMAIL_OTP", "SOFTWARE_TOKEN_MFA"
	return []tableRow{
		{name: "NEW_PASSWORD_REQUIRED", calls: []string{"NEW_PASSWORD_REQUIRED"}, edit: func(u *cognitotest.User) {
			u.Status, u.RequiredAttributes = cognitotest.ForceChangePassword, []string{"name"}
		}},
		{name: "SMS_MFA", calls: []string{sms}, edit: secondFactors(sms)},
		{name: "EMAIL_OTP, second factor", calls: []string{mail, "USER_PASSWORD_AUTH"}, edit: secondFactors(mail), identity: notInCode, local: unsupported},
		{name: "SOFTWARE_TOKEN_MFA", calls: []string{app}, edit: secondFactors(app)},
		{name: "SELECT_MFA_TYPE", calls: []string{"SELECT_MFA_TYPE"}, edit: secondFactors(sms, app)},
		{name: "MFA_SETUP", calls: []string{"MFA_SETUP", "AssociateSoftwareToken", "VerifySoftwareToken"}, edit: secondFactors("MFA_SETUP"), local: unsupported},
		{name: "CUSTOM_CHALLENGE", calls: []string{"CUSTOM_CHALLENGE", "CUSTOM_AUTH"}, flow: "custom", local: unsupported, edit: func(u *cognitotest.User) {
			u.Custom = []cognitotest.Question{{Parameters: map[string]string{"question": "First pet?"}, Answer: customAnswer}}
		}},
	}
}

func tableOfDevices() []tableRow {
	var rows []tableRow
	for _, calls := range [][]string{
		{"ConfirmDevice"},
		{"DEVICE_SRP_AUTH", "DEVICE_PASSWORD_VERIFIER"},
		{"DEVICE_PASSWORD_VERIFIER"},
	} {
		rows = append(rows, tableRow{name: calls[0], calls: calls, run: isRemembered, flow: agent.FlowSRP, edit: secondFactors("SMS_MFA"),
			options: []cognitotest.Option{cognitotest.RememberDevices(cognitotest.DevicesAlways)}, local: unsupported})
	}
	return rows
}

func tableOfTokens() []tableRow {
	return []tableRow{
		{name: "refresh by InitiateAuth", calls: []string{"REFRESH_TOKEN_AUTH"}, run: refreshesBy("initiate-auth"), amplify: notInCode},
		{name: "refresh by GetTokensFromRefreshToken", calls: []string{tokens}, run: refreshesBy("tokens"), identity: notInCode, local: unsupported},
		{name: "rotation", calls: []string{tokens}, run: rotates, options: []cognitotest.Option{cognitotest.Rotation(0)},
			jsCase: "rotation", identity: notInCode, local: unsupported},
		{name: "client secret", calls: []string{"USER_PASSWORD_AUTH"}, run: hasSecret, edit: secondFactors("SMS_MFA"),
			options: []cognitotest.Option{cognitotest.ClientSecret(tableSecret)},
			word:    "SECRET_HASH", identity: "no: SECRET_HASH not in its code", amplify: "no: SECRET_HASH not in its code",
			local: "no: it takes a wrong secret"},
		{name: "RevokeToken", calls: []string{"RevokeToken"}, run: revokes},
		{name: "GlobalSignOut", calls: []string{"GlobalSignOut"}, run: signsOutEverywhere, local: unsupported},
	}
}

func tableOfAccounts() []tableRow {
	unconfirmed := func(u *cognitotest.User) { u.Status = cognitotest.Unconfirmed }
	return []tableRow{
		{name: "password reset", calls: []string{"ConfirmForgotPassword", "ForgotPassword"}, run: recovers(agent.RecoverReset)},
		{name: "password change", calls: []string{"ChangePassword"}, run: recovers(agent.RecoverChange)},
		{name: "confirm", calls: []string{"ConfirmSignUp"}, run: recovers(agent.RecoverConfirm), edit: unconfirmed},
		{name: "resend", calls: []string{"ResendConfirmationCode"}, run: recovers(agent.RecoverResend, agent.RecoverConfirm), edit: unconfirmed, local: unsupported},
	}
}

func secondFactors(kinds ...string) func(*cognitotest.User) {
	return func(u *cognitotest.User) { u.MFA = kinds }
}

// TestTable tries every challenge, flow and operation with every pair of client and pool, and prints
// the results:
//
//	KYC_REQUIRE_PEERS=1 go test -v -run 'TestTable$' ./agent/cognito
//
// It fails if a cell does not have the expected result, including an unexpected pass and another
// reason.
func TestTable(t *testing.T) {
	rows := tableRows()
	columns := []tableColumn{
		{head: "kyc-agentd × cognitotest", measure: ownCells, want: func(r tableRow) string { return r.own }},
		{head: string(amplifyjs.Identity) + " × cognitotest", measure: jsCells(amplifyjs.Identity, "lib"), want: func(r tableRow) string { return r.identity }},
		{head: string(amplifyjs.Amplify) + " × cognitotest", measure: jsCells(amplifyjs.Amplify, "dist/cjs"), want: func(r tableRow) string { return r.amplify }},
		{head: "kyc-agentd × cognito-local", measure: localCells, want: func(r tableRow) string { return r.local }},
	}
	t.Run("columns", func(t *testing.T) { // returns when all are done
		for i := range columns {
			t.Run(columns[i].head, func(t *testing.T) {
				t.Parallel()
				columns[i].cells = columns[i].measure(t, rows)
			})
		}
	})
	for i := range columns {
		columns[i].check(t, rows)
	}
	t.Log(tableText(rows, columns))
}

// A tableColumn is a client and a pool.
type tableColumn struct {
	head    string
	measure func(*testing.T, []tableRow) []string
	want    func(tableRow) string
	cells   []string // nil where a peer was missing
}

// check compares the cells to the expected ones, and adds the expected text in brackets to them.
func (c *tableColumn) check(t *testing.T, rows []tableRow) {
	t.Helper()
	if c.cells == nil {
		c.cells = slices.Repeat([]string{"not run"}, len(rows))
		return
	}
	for i, row := range rows {
		want := cmp.Or(c.want(row), "pass")
		if c.cells[i] != want && !strings.HasPrefix(want, c.cells[i]+" (") {
			t.Errorf("%s at %s: %q, want %q", row.name, c.head, c.cells[i], want)
			continue
		}
		c.cells[i] = want
	}
}

func tableText(rows []tableRow, columns []tableColumn) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	line := func(first string, cell func(tableColumn) string) {
		_, _ = fmt.Fprint(w, "\n", first)
		for _, c := range columns {
			_, _ = fmt.Fprint(w, "\t", cell(c))
		}
	}
	line("", func(c tableColumn) string { return c.head })
	for i, row := range rows {
		line(row.name, func(c tableColumn) string { return c.cells[i] })
	}
	_ = w.Flush()
	b.WriteString(tableLegend)
	return b.String()
}

const tableLegend = `

"not in its code": the client's source has no such name.
"in none of its cases": it was not seen to do that in any case of package amplifyjs.
"HTTP 500 Unsupported": cognito-local's answer to that very call.
What is in brackets is said and not measured.
`

// ownCells runs this project's client against a pool of cognitotest, for each row.
func ownCells(t *testing.T, rows []tableRow) []string {
	cells := make([]string, len(rows))
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			srv := cognitotest.New(row.options...)
			t.Cleanup(srv.Close)
			c := newCaller(t, environment(srv), row, username)
			srv.AddUser(c.user)
			err := row.play(t.Context(), c)
			cells[i] = row.cell(c.wire, err, func(string) string { return "" })
			if got, want := callsIn(srv.Log()), namesOf(c.wire.calls); !slices.Equal(got, want) {
				t.Errorf("arrived: %v\nsent:    %v", got, want)
			}
		})
	}
	return cells
}

// callsIn returns the names of the API calls that arrived.
func callsIn(log []cognitotest.Call) []string {
	var names []string
	for _, c := range log {
		if c.Op != cognitotest.JWKS {
			names = append(names, cmp.Or(c.Flow, c.Op))
		}
	}
	return names
}

func namesOf(calls []amplifyjs.Call) []string {
	var names []string
	for _, c := range calls {
		names = append(names, c.Name)
	}
	return names
}

// localCells runs this project's client against cognito-local, with a user for each row. A call that
// is not made in that run is made directly, so that no cell is a guess.
func localCells(t *testing.T, rows []tableRow) []string {
	callers := make([]*caller, len(rows))
	var o cognitolocal.Options
	for i, row := range rows {
		callers[i] = newCaller(t, agent.Environment{}, row, fmt.Sprintf("ada%02d", i))
		o.Users = append(o.Users, localUser(callers[i].user))
	}
	srv := cognitolocal.Start(t, o)
	cells := make([]string, len(rows))
	for i, row := range rows {
		c := callers[i]
		c.env = at(srv.URL)
		c.env.UserPoolID, c.env.ClientID, c.env.AuthFlow = srv.PoolID, srv.ClientID, row.flow
		err := row.play(t.Context(), c)
		cells[i] = row.cell(c.wire, err, func(call string) string { return c.probe(t, call) })
	}
	return cells
}

func localUser(u cognitotest.User) cognitolocal.User {
	l := cognitolocal.User{Name: u.Name, Password: u.Password, Email: u.Email, Phone: u.Phone, Status: u.Status.String(), MFA: u.MFA}
	if slices.Contains(u.MFA, "SOFTWARE_TOKEN_MFA") {
		l.TOTPSecret = u.TOTPSecret
	}
	return l
}

// cell returns the result of a row, from its calls on the wire and its error. probe returns the
// result of a call that was not made.
func (row tableRow) cell(w *wire, err error, probe func(call string) string) string {
	for i, call := range row.calls {
		outcome := w.outcome(call)
		if outcome == "pass" {
			continue
		}
		if outcome == "" {
			outcome = probe(call)
		}
		switch {
		case outcome == "" && err != nil:
			return "no: " + briefly(err)
		case outcome == "" || outcome == "pass":
			outcome = "was not made"
		}
		if i > 0 {
			outcome = call + " " + outcome
		}
		return "no: " + outcome
	}
	if err != nil {
		return "no: " + briefly(err)
	}
	return "pass"
}

// briefly returns an error without its environment and its hint.
func briefly(err error) string {
	if e, ok := errors.AsType[*agent.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// jsCells runs the cases of a JavaScript client, each against its own pool. A row passes if all its
// calls succeeded in one of the cases. If no case has them, the client's source code, in a folder of
// its package, may show why.
func jsCells(client amplifyjs.Client, folder string) func(*testing.T, []tableRow) []string {
	return func(t *testing.T, rows []tableRow) []string {
		traces := amplifyjs.Run(t, client)
		modules, _ := testpeer.Npm(t)
		code := sources(t, filepath.Join(modules, "node_modules", filepath.FromSlash(string(client)), filepath.FromSlash(folder)))
		cells := make([]string, len(rows))
		for i, row := range rows {
			cells[i] = row.jsCell(traces, code)
		}
		return cells
	}
}

func (row tableRow) jsCell(traces []amplifyjs.Trace, code string) string {
	missing := func(word string) bool { return !regexp.MustCompile(`\b` + word + `\b`).MatchString(code) }
	switch {
	case row.word != "" && missing(row.word):
		return "no: " + row.word + " not in its code"
	case slices.ContainsFunc(traces, row.passedIn):
		return "pass"
	case missing(row.calls[0]):
		return notInCode
	}
	if i := slices.IndexFunc(row.calls, missing); i > 0 {
		return "no: " + row.calls[i] + " not in its code"
	}
	return inNoCase
}

func (row tableRow) passedIn(tr amplifyjs.Trace) bool {
	if row.jsCase != "" && row.jsCase != tr.Case.Name {
		return false
	}
	results := amplifyjs.Results([]amplifyjs.Trace{tr})
	return !slices.ContainsFunc(row.calls, func(call string) bool { return results[call] != "pass" })
}

// sources returns all JavaScript in a folder.
func sources(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".js" {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil || all.Len() == 0 {
		t.Fatalf("no code in %s: %v", folder, err)
	}
	return all.String()
}

const (
	tableSecret  = "a-client-secret"
	nextPassword = "Better horse, 2nd battery"
	customAnswer = "rex"
	appSecret    = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	everyCode    = cognitolocal.Code // and cognitotest's
)

// A caller is this project's client with a user of a pool, and a person who knows every answer.
type caller struct {
	*cognito.Authenticator
	env    agent.Environment
	user   cognitotest.User
	wire   *wire
	choice string // at a choice
}

func newCaller(t *testing.T, env agent.Environment, row tableRow, name string) *caller {
	env.AuthFlow = row.flow
	w := newWire(t)
	u := cognitotest.User{Name: name, Password: password, Email: name + "@example.com", Phone: "+15551234567", TOTPSecret: appSecret}
	if row.edit != nil {
		row.edit(&u)
	}
	return &caller{
		Authenticator: cognito.New(cognito.Options{HTTPClient: &http.Client{Transport: w}}),
		env:           env, user: u, wire: w, choice: "SOFTWARE_TOKEN_MFA",
	}
}

// A scenario is what a caller does for a row. Its error describes what went wrong.
type scenario func(context.Context, *caller) error

func (row tableRow) play(ctx context.Context, c *caller) error {
	if row.run == nil {
		_, err := c.signIn(ctx)
		return err
	}
	return row.run(ctx, c)
}

func (c *caller) signIn(ctx context.Context) (agent.AuthResult, error) {
	return c.Login(ctx, c.env, agent.LoginRequest{Environment: c.env.Name, Username: c.user.Name, Password: agent.NewSecret(c.user.Password)}, c.answer)
}

// answer answers every challenge, and fails if one is asked a second time.
func (c *caller) answer(_ context.Context, ch agent.Challenge) (agent.Answers, error) {
	if ch.Problem != "" {
		return nil, fmt.Errorf("%s: %s", ch.Name, ch.Problem)
	}
	given := agent.Answers{}
	for _, in := range ch.Fields {
		given[in.Name] = agent.NewSecret(c.typed(ch, in.Name))
	}
	return given, nil
}

func (c *caller) typed(ch agent.Challenge, input string) string {
	switch {
	case ch.TOTPSecret != "":
		return cognitotest.TOTP(ch.TOTPSecret, time.Now())
	case ch.Name == "SOFTWARE_TOKEN_MFA":
		return cognitotest.TOTP(c.user.TOTPSecret, time.Now())
	}
	switch input {
	case "code":
		return everyCode
	case "choice":
		return c.choice
	case "password":
		return c.user.Password
	case "new_password", "new_password_again":
		return nextPassword
	case "answer":
		return customAnswer
	}
	return "given" // an attribute
}

// chooses signs in with USER_AUTH, without sending a password first.
func chooses(way string) scenario {
	return func(ctx context.Context, c *caller) error {
		c.choice = way
		_, err := c.Login(ctx, c.env, agent.LoginRequest{Username: c.user.Name}, c.answer)
		return err
	}
}

// prefers signs in with USER_AUTH, with a preference that this project's client does not send itself.
func prefers(way string) scenario {
	return func(ctx context.Context, c *caller) error {
		c.wire.prefer = way
		_, err := c.signIn(ctx)
		return err
	}
}

func isPutPasskey(ctx context.Context, c *caller) error {
	err := prefers("WEB_AUTHN")(ctx, c)
	if !c.wire.put("WEB_AUTHN") {
		return errors.New("no passkey was asked for")
	}
	return err
}

// isRemembered signs in twice, the second time with the device instead of MFA.
func isRemembered(ctx context.Context, c *caller) error {
	first, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	req := agent.LoginRequest{Username: c.user.Name, Password: agent.NewSecret(c.user.Password), Device: first.SignIn.Device}
	second, err := c.Login(ctx, c.env, req, c.answer)
	if err != nil {
		return err
	}
	if n := c.wire.count("SMS_MFA"); n != 1 {
		return fmt.Errorf("%d codes for two sign-ins", n)
	}
	_, err = c.Refresh(ctx, c.env, second.SignIn, nobody)
	return err
}

func refreshesBy(api string) scenario {
	return func(ctx context.Context, c *caller) error {
		g, err := c.signIn(ctx)
		if err != nil {
			return err
		}
		_, err = c.refreshBy(ctx, api, g.SignIn)
		return err
	}
}

func (c *caller) refreshBy(ctx context.Context, api string, s agent.SignIn) (agent.AuthResult, error) {
	s.RefreshAPI = api
	return c.Refresh(ctx, c.env, s, nobody)
}

func rotates(ctx context.Context, c *caller) error {
	g, err := c.signIn(ctx)
	for range 2 {
		if err != nil {
			return err
		}
		before := g.SignIn
		if g, err = c.refreshBy(ctx, "tokens", before); err != nil {
			return err
		}
		if g.SignIn.RefreshToken.Equal(before.RefreshToken) {
			return errors.New("the refresh token stayed the same")
		}
		err = c.refused(ctx, before)
	}
	return err
}

// refused checks that neither call refreshes a sign-in.
func (c *caller) refused(ctx context.Context, s agent.SignIn) error {
	for _, api := range []string{"initiate-auth", "tokens"} {
		switch _, err := c.refreshBy(ctx, api, s); {
		case err == nil:
			return errors.New("an ended refresh token still refreshes")
		case !errors.Is(err, agent.CodeLoginRequired):
			return err
		}
	}
	return nil
}

// hasSecret makes the calls of an app client with a secret, with an alias of the user.
func hasSecret(ctx context.Context, c *caller) error {
	name := c.user.Name
	c.user.Name = c.user.Email
	c.env.ClientSecret = fixedSecret("wrong")
	if _, err := c.signIn(ctx); !errors.Is(err, agent.CodeConfiguration) {
		return errors.New("it takes a wrong secret")
	}
	c.env.ClientSecret = fixedSecret(tableSecret)
	g, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	if g.SignIn.Username != name {
		return fmt.Errorf("signed in as %q", g.SignIn.Username)
	}
	for _, api := range []string{"initiate-auth", "tokens"} {
		if _, err := c.refreshBy(ctx, api, g.SignIn); err != nil {
			return err
		}
	}
	if err := c.Revoke(ctx, c.env, g.SignIn); err != nil {
		return err
	}
	if err := c.refused(ctx, g.SignIn); err != nil {
		return err
	}
	return recovers(agent.RecoverReset, agent.RecoverChange)(ctx, c)
}

func revokes(ctx context.Context, c *caller) error {
	g, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	if err := c.Revoke(ctx, c.env, g.SignIn); err != nil {
		return err
	}
	return c.refused(ctx, g.SignIn)
}

func signsOutEverywhere(ctx context.Context, c *caller) error {
	here, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	there, err := c.signIn(ctx)
	if err != nil {
		return err
	}
	if err := c.RevokeAll(ctx, c.env, here.SignIn, nobody); err != nil {
		return err
	}
	if err := c.refused(ctx, here.SignIn); err != nil {
		return err
	}
	return c.refused(ctx, there.SignIn)
}

// recovers recovers the account, and signs in afterwards.
func recovers(actions ...agent.RecoverAction) scenario {
	return func(ctx context.Context, c *caller) error {
		for _, action := range actions {
			req := agent.RecoverRequest{Action: action, Username: c.user.Name}
			if action == agent.RecoverChange {
				req.Password = agent.NewSecret(c.user.Password)
			}
			if err := c.Recover(ctx, c.env, req, c.answer); err != nil {
				return err
			}
			if action == agent.RecoverReset || action == agent.RecoverChange {
				c.user.Password = nextPassword
			}
		}
		_, err := c.signIn(ctx)
		return err
	}
}

// probe makes a call with as little content as the pool needs to recognize it, and returns the
// result.
func (c *caller) probe(t *testing.T, call string) string {
	t.Helper()
	w := newWire(t)
	op, body := call, map[string]any{"ClientId": c.env.ClientID}
	user := map[string]string{"USERNAME": c.user.Name}
	switch {
	case slices.Contains(types.AuthFlowType("").Values(), types.AuthFlowType(call)):
		op, body["AuthFlow"], body["AuthParameters"] = "InitiateAuth", call, user
	case slices.Contains(types.ChallengeNameType("").Values(), types.ChallengeNameType(call)):
		op, body["ChallengeName"], body["ChallengeResponses"], body["Session"] = "RespondToAuthChallenge", call, user, "a session"
	}
	post(t, &http.Client{Transport: w}, c.env.Endpoint, op, body)
	return w.outcome(call)
}

// An answer is the relevant part of an answer of Cognito.
type answer struct {
	Code                 string `json:"__type"`
	Message              string `json:"message"`
	ChallengeName        string
	AuthenticationResult struct{ IdToken, RefreshToken string }
}

// post makes one call of Cognito's API.
func post(t *testing.T, client *http.Client, url, op string, body any) answer {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+op)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var a answer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return a
}

// A wire is a transport that records calls and can modify or lose them.
type wire struct {
	base   http.RoundTripper
	prefer string // PREFERRED_CHALLENGE of every USER_AUTH, without a password

	mu     sync.Mutex
	calls  []amplifyjs.Call
	issued []string // refresh tokens, in order
	lose   bool     // answers with a refresh token; those are in issued nevertheless
}

func newWire(t *testing.T) *wire {
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	return &wire{base: base}
}

// RoundTrip forwards a call.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return w.base.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	name, body := w.read(r, body)
	sent := r.Clone(r.Context())
	sent.Body, sent.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res, err := w.base.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if w.hear(name, res.StatusCode, body) {
		return nil, io.ErrUnexpectedEOF
	}
	return res, nil
}

// read returns the name of a call, and its body with the preference.
func (w *wire) read(r *http.Request, body []byte) (string, []byte) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return op, body
	}
	if flow, ok := in["AuthFlow"].(string); ok {
		op = flow
	}
	if challenge, ok := in["ChallengeName"].(string); ok {
		op = challenge
	}
	parameters, ok := in["AuthParameters"].(map[string]any)
	if !ok || op != "USER_AUTH" || w.prefer == "" {
		return op, body
	}
	delete(parameters, "SRP_A")
	parameters["PREFERRED_CHALLENGE"] = w.prefer
	changed, _ := json.Marshal(in)
	return op, changed
}

// hear records an answer and reports whether to lose it.
func (w *wire) hear(name string, status int, body []byte) (lost bool) {
	var a answer
	_ = json.Unmarshal(body, &a)
	result := cmp.Or(a.Code[strings.LastIndexByte(a.Code, '#')+1:], a.ChallengeName, "ok")
	if status >= 500 {
		result = fmt.Sprintf("HTTP %d %s", status, result)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, amplifyjs.Call{Name: name, Result: result})
	token := a.AuthenticationResult.RefreshToken
	if token == "" {
		return false
	}
	w.issued = append(w.issued, token)
	return w.lose
}

// outcome is "pass" when a call called name has succeeded, or the last error; empty without a call.
func (w *wire) outcome(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	outcome := ""
	for _, c := range w.calls {
		switch {
		case c.Name != name:
		case !strings.HasPrefix(c.Result, "HTTP ") && !strings.HasSuffix(c.Result, "Exception"):
			return "pass"
		default:
			outcome = c.Result
		}
	}
	return outcome
}

// put reports whether a challenge was the answer to a call.
func (w *wire) put(challenge string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.calls, func(c amplifyjs.Call) bool { return c.Result == challenge })
}

func (w *wire) count(name string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.Name == name {
			n++
		}
	}
	return n
}
