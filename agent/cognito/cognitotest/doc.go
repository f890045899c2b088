// Package cognitotest emulates an Amazon Cognito user pool that misbehaves on demand. It is
// used like net/http/httptest, for tests and for demonstrations without a network, not for
// production.
//
// Two calls start a pool and add a user:
//
//	srv := cognitotest.New(cognitotest.Rotation(30 * time.Second))
//	defer srv.Close()
//	srv.AddUser(cognitotest.User{Name: "ada", Password: "correct horse"})
//
// srv.URL is then the endpoint of Cognito's API, srv.PoolID and srv.ClientID name the pool and
// the app client, and srv.Issuer returns the iss of its ID tokens. [NewInMemory] starts a pool
// that opens no socket: its [Server.Client] reaches it over net.Pipe, so tests in a
// testing/synctest bubble can let hours pass. For a demonstration, [Address] sets a fixed port.
//
// # What it does
//
// Sign-in with USER_PASSWORD_AUTH, USER_SRP_AUTH (whose proof is checked), USER_AUTH with its
// choice, and CUSTOM_AUTH. Every challenge of Cognito, although a passkey is offered and then
// always refused. Remembered devices, which prove their password instead of MFA. Both refresh
// calls, refresh token rotation with its grace period, RevokeToken, GlobalSignOut, GetUser and
// the JWK set. Account recovery: ForgotPassword, ConfirmForgotPassword, ConfirmSignUp,
// ResendConfirmationCode and ChangePassword. Tokens are real RS256 JWTs; refresh tokens have the
// size and form of Cognito's. Error codes and messages are those of Cognito.
//
// The session of a challenge is bound to its user, app client and challenge, expires after three
// minutes and ends with the third wrong code. If Cognito publishes no exact rule, as for the
// number of wrong codes, the comment at the rule says so.
//
// # Controls
//
//   - [Server.Set] changes a setting at run time: lifetimes, rotation, flows, clock skew.
//   - [Server.FailNext] and [Server.SetLatency] make the next calls fail or wait: see [Fault].
//   - [Server.Forge] falsifies the tokens that are issued next: see [Forgery].
//   - [Server.RotateKeys] changes the signing keys, [ForeignJWKS] publishes wrong ones.
//   - [Server.EditUser], [Server.DeleteUser] and [Server.SignOutUser] are actions of an administrator.
//   - [Server.ForgetDevice], [Server.ExpireCodes] and [Server.ForgetLockouts] are effects of time and of other devices.
//
// [Server.Calls], [Server.Log], [Server.OnCall] and [Server.WaitCalls] report which calls
// arrived and when, so that no test has to sleep. [Server.Messages] returns the codes that were
// sent, and [Server.Devices] the devices of a user. [Server.LiveSignIns] counts what a client must not leave
// behind.
//
// All methods are safe for concurrent use. Package amplifyjs runs AWS's JavaScript clients
// against it.
package cognitotest
