// Package cognitotest is an Amazon Cognito user pool that misbehaves on demand,
// shaped like net/http/httptest: for tests, and for demonstrations without a
// network. It is not for production.
//
// Two calls make one and fill it:
//
//	srv := cognitotest.New(cognitotest.Rotation(30 * time.Second))
//	defer srv.Close()
//	srv.AddUser(cognitotest.User{Name: "ada", Password: "correct horse"})
//
// srv.URL is then the endpoint of Cognito's API, srv.PoolID and srv.ClientID name
// the pool and the app client, and srv.Issuer is what its ID tokens carry as iss.
// [NewInMemory] makes one that opens no socket: its [Server.Client] reaches it over
// net.Pipe, so tests in a testing/synctest bubble can let hours pass. A demonstration
// may want [Address] for a port that stays the same.
//
// # What it does
//
// Sign-in by USER_PASSWORD_AUTH, USER_SRP_AUTH with its proof checked, USER_AUTH with its
// choice, and CUSTOM_AUTH; every challenge of Cognito's but a passkey's, which is offered
// and then refused; remembered devices, which prove their password in the place of MFA; both
// refresh calls, refresh token rotation with its grace period, RevokeToken, GlobalSignOut,
// GetUser and the JWK set; and what gets a stuck account going again: ForgotPassword,
// ConfirmForgotPassword, ConfirmSignUp, ResendConfirmationCode and ChangePassword. Tokens
// are real RS256 JWTs, refresh tokens have the size and shape of Cognito's. Error codes and
// messages are Cognito's own words.
//
// A session of a challenge is bound to its user, app client and challenge, lives three
// minutes and ends with the third wrong code. Where Cognito publishes no exact rule, as for
// the number of wrong codes, the comment at the rule says so.
//
// # What it can be told to do
//
//   - [Server.Set] changes a setting while it runs: lifetimes, rotation, flows, clock skew.
//   - [Server.FailNext] and [Server.SetLatency] disturb the next calls: see [Fault].
//   - [Server.Forge] spoils the tokens it issues next: see [Forgery].
//   - [Server.RotateKeys] changes the signing keys, [ForeignJWKS] publishes wrong ones.
//   - [Server.EditUser], [Server.DeleteUser] and [Server.SignOutUser] do what an administrator would.
//   - [Server.ForgetDevice], [Server.ExpireCodes] and [Server.ForgetLockouts] do what time and other devices do.
//
// [Server.Calls], [Server.Log], [Server.OnCall] and [Server.WaitCalls] tell what
// arrived and when, so that no test has to sleep. [Server.Messages] tells what codes were
// sent, and [Server.Devices] which devices a user has.
//
// All methods are safe for concurrent use. Package amplifyjs runs JavaScript clients of AWS's
// own against it.
package cognitotest
