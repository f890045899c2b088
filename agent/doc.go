// Package agent holds sign-ins and hands out fresh ID tokens.
//
// A newcomer needs two calls: [New] makes an [Agent] out of an [Authenticator]
// (the identity provider) and a [store.Store] (where sign-ins last), and
// [Agent.Token] answers from memory whenever it can:
//
//	a, err := agent.New(agent.Options{Authenticator: cognito.New(…), Store: …, Config: …})
//	err = a.Start(ctx)
//	token, err := a.Token(ctx, agent.TokenRequest{Environment: "prod"})
//
// # What is promised
//
// A cached token never waits. While more than the margin is left of it (the
// smaller of Config.RefreshMargin and a fifth of its life), a request reads one
// atomic pointer. Inside the margin it still does, and starts a refresh in the
// background. Only with less than a minute left (or half the margin, where that is
// shorter) does a request wait for that refresh, up to the caller's own deadline.
//
// A sign-in is never lost. A refresh runs on the agent's own context, so a caller
// that gives up cannot interrupt it, and a rotated refresh token is durable in the
// store before the ID token that came with it is handed out. Should the store
// fail, the new refresh token stays in memory ("unsaved") and is saved again and
// again; the old one is never used again. Only a definite refusal by the provider
// or Logout ends a sign-in, and after a refusal the record stays until the next Login
// or Logout. A sign-in that another one replaces is revoked.
//
// One call per need. All requests that need a refresh share one flight.
//
// # A session's life
//
//	unknown ──read──▶ absent ──login──▶ fresh ◀──refreshed── refreshing ──refused──▶ rejected
//	   └─────read──▶ idle ──request──▶ refreshing                                      │ login
//	                   ▲ expired ── fresh ◀──saved── unsaved ◀──store failed── refreshing ▼ fresh
//
// A refresh starts by itself at the margin while tokens are in demand, that is,
// while the present one was used at all; an idle agent makes no calls. Timers are
// hints: every request checks the wall clock and the monotonic one, so neither
// suspend nor a clock set back can make the agent serve a dead token.
//
// An environment with a [CredentialSource] is signed in by the agent itself, when
// there is no sign-in or it was refused: at most every five minutes, and never again
// with a credential that was refused for good. An API key takes the place of a sign-in
// and has no end.
//
// # AWS credentials
//
// [Agent.AWSCredentials] hands out what an [Exchanger] makes of the ID token, where the
// environment says by what. They are kept and renewed by the same means (supply.go) and
// with the same promises, in memory only, and last no longer than the sign-in they were
// made with.
package agent
