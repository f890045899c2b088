// Package agent holds sign-ins and hands out fresh ID tokens.
//
// [New] makes an [Agent] out of an [Authenticator] (the identity provider) and a
// [store.Store] (where sign-ins last). [Agent.Token] answers from memory whenever it can:
//
//	a, err := agent.New(agent.Options{Authenticator: cognito.New(…), Store: …, Config: …})
//	err = a.Start(ctx)
//	token, err := a.Token(ctx, agent.TokenRequest{Environment: "prod"})
//
// # What is promised
//
// A cached token never waits. While more of its life is left than the refresh margin (the
// smaller of Config.RefreshMargin and a fifth of the lifetime), a request reads one atomic
// pointer. Inside the margin a request still gets the cached token at once, and starts a
// refresh in the background. Only if less than a minute is left (or half the margin, if
// that is shorter) does a request wait for the refresh, up to its own deadline.
//
// A sign-in is never lost. A refresh runs on the agent's context, so a caller that gives
// up cannot interrupt it, and a rotated refresh token is durable in the store before the
// ID token that came with it is handed out. If the store fails, or takes longer than 3 s,
// the new refresh token stays in memory ("unsaved") and the agent goes on to save it; it
// never uses the old one again. Only a definite refusal by the provider or Logout ends a
// sign-in, and after a refusal the record stays until the next Login or Logout; a newer
// record that something else puts there is used. A sign-in that another one replaces is
// revoked, and so is what arrives after a Login or a Logout, which wait for no call. If the
// answer to a refresh is lost, the agent tries again by itself while the provider may still
// accept the same refresh token; [Markers] extend that to an agent that is killed.
//
// A sign-in stays where it was made. Its refresh token and device are sent to no other
// endpoint, user pool or client, and its record is good under one environment's name.
//
// One call per need. All requests that need a refresh share one.
//
// # The states of a sign-in
//
//	state             event                                      next state
//	unknown           Start lists the store: no sign-in          absent
//	unknown           Start lists the store: a sign-in           idle
//	unknown, idle     a request                                  refreshing
//	absent, rejected  a request, if there is a CredentialSource  refreshing
//	fresh             the margin is reached, tokens in demand    refreshing
//	fresh             the ID token expires, nobody asks          idle
//	refreshing        the provider answers                       fresh
//	refreshing        it answers, but the store fails            unsaved
//	refreshing        a Login or a Logout                        fresh, absent
//	refreshing        the provider cannot be reached             the one before
//	refreshing        the provider refuses the sign-in           rejected
//	refreshing        the store has no sign-in                   absent
//	absent, rejected  the store has another sign-in              idle
//	unsaved           a later save succeeds                      fresh, or idle
//	unsaved           a request, after the ID token expired      refreshing
//	any               Login                                      fresh
//	any               Login, but the store fails                 unsaved
//	any               Logout                                     absent
//	any               restart                                    unknown
//
// A refresh starts by itself at the margin while tokens are in demand, that is, if the
// current one was used at all; an idle agent makes no calls. Timers are hints: every
// request checks the wall clock and the monotonic clock, so neither suspend nor a clock
// that is set back can make the agent serve an expired token.
//
// An environment with a [CredentialSource] is signed in by the agent itself if there is no
// sign-in, or it was refused, or the store cannot read it. A credential that the provider
// refused ([ErrBadCredential]) is never tried again. After any other failure the agent tries
// again by itself, with pauses that grow from 5 s to 5 minutes, or to an hour if the failure
// does not pass by itself. An API key can be stored instead of a sign-in and never
// expires.
//
// # AWS credentials
//
// [Agent.AWSCredentials] exchanges the ID token for AWS credentials through an
// [Exchanger], if the environment configures an identity pool or a role. They are cached
// and refreshed in the same way and with the same promises, in memory only, and last no
// longer than the sign-in they were made with.
package agent
