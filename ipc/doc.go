// Package ipc is the agent's socket API: HTTP/1.1 with JSON over a Unix socket that
// answers only its owner. It has the client, [Client], and the server, [Server].
//
// A Go program that wants a token needs one call:
//
//	token, err := new(ipc.Client).Token(ctx, agent.TokenRequest{Environment: "prod"})
//
// *[Client] implements [agent.Service]: over the socket it does what the agent does in its
// own process, with the same errors. A program that calls the KYC API should use package
// tokensource instead: an http.RoundTripper and an oauth2.TokenSource over the Client. A
// person has curl:
//
//	curl --unix-socket "$XDG_RUNTIME_DIR/kyc-agentd/agent.sock" http://kyc-agent/v1/token?env=prod
//
// # Calls
//
//	GET    /v1/token?env=&user=&type=&min_valid=&format=
//	                                           an ID token
//	POST   /v1/helper/{protocol}?env=&user=&min_valid=&operation=
//	                                           a credential helper's answer
//	GET    /v1/status                          what the agent holds; never a secret
//	POST   /v1/login                           {"environment", "username", "password", "for"}, {"environment", "api_key"}, or {"environment", "redirect_uri"}
//	POST   /v1/account                         {"environment", "action", "username", "password"}
//	POST   /v1/login/{id}                      {"answers": {name: value}}
//	GET    /v1/login/{id}                      waits until a sign-in or a recovery is over
//	DELETE /v1/login/{id}                      cancels a sign-in or a recovery
//	POST   /v1/logout                          {"environment", "scope"}
//	POST   /v1/reload                          {"passphrase", "shown"}: reloads the configuration
//	GET    /v1/approvals                       what waits for an approval, and what is approved
//	POST   /v1/approvals                       {"unit", "system", "environment", "socket", "kind", "methods", "paths", "for"}
//	POST   /v1/approvals/{id}                  {"for", "methods", "paths", "any"}: answers a request with yes
//	DELETE /v1/approvals/{id}                  takes an approval back, or answers with no; without id all
//	POST   /v1/restart                         lets the installed program take over in this process
//	POST   /v1/passphrase                      {"passphrase", "old"}
//	POST   /v1/lock                            {"for"}
//	POST   /v1/unlock                          {"passphrase"}
//	GET    /v1/metrics                         metrics in the OpenMetrics or the Prometheus text format
//
// openapi.yaml beside this file describes every call in detail, and a test compares it
// with the server. Package format has the formats of a token, package helper the protocols
// of credential helpers.
//
// An empty or missing environment means the agent's default. min_valid is a Go duration
// ("5m") or whole seconds ("300"). A token is answered within 7 seconds, within 4.5 for a
// tool: the formats k8s and google, and all helpers. If Cognito takes longer, the answer is
// 503, and the refresh goes on for the next request. A Kyc-Warning header beside a token is
// a line for the person: the sign-in ends soon. A Kyc-User header is the user's name, and
// the format json has it, too, with the `sub`.
//
// user refuses another user than that one: 403. It is the name as typed at the sign-in, the
// one that Cognito has, or the `sub`. A program that is for one user pins that one, because
// anybody who may use the agent can sign in as another.
//
// type=access is the access token, in the formats token and json, if the environment has
// hand_out_access_tokens: it can change the account, so it is refused otherwise, and on the
// socket for forwarding always.
//
// # Sign-ins
//
// The answer to a login is {"state":"done"}, or {"state":"challenge"} with the question, an
// id for the answer and expires_at, three minutes later. A client that disconnects before
// either arrives cancels the sign-in. (Closing only the sending half, as `nc -N` does, is a
// disconnect here; a token is answered nevertheless.) An answer to a challenge that has
// expired, or that Cognito ended, gets the error that it ended with. GET /v1/login/{id}
// returns that error at once: an interactive client keeps this call open, and cancels the
// sign-in by closing it or by exiting.
//
// A recovery, /v1/account, works the same way, and its challenges are answered at
// /v1/login/{id} too.
//
// # Errors
//
// The status and the code of a problem say the same:
//
//	400 usage                 the request itself is wrong (also 404 for a path or a
//	                          challenge that does not exist, 405, 413, 415)
//	401 login_required        a person has to sign in, or to start again
//	403 denied                refused by a rule
//	403 approval_required     a person has to approve the program
//	404 unknown_environment   no such environment is configured
//	422 configuration         the environment's configuration cannot work
//	423 locked                the store is locked, or the agent with a passphrase
//	429 throttled             Cognito asks to slow down, or the API's limit is used up
//	500 internal              a bug; the agent's log says more
//	503 unavailable           try again later; Retry-After says when
//
// The body is application/problem+json (RFC 9457) with code, detail, hint and environment;
// a Kyc-Error header has the code too. With Accept: text/plain the body is one line of
// text. With format=curl and no Accept: text/plain it is a curl configuration that makes
// curl send nothing, because `curl -K <(…)` does not look at the status; with format=google
// it is an answer without success.
//
// # What is refused
//
// A request with Origin or Referer, or for a host other than kyc-agent, comes from a
// browser through some proxy: 403 (404 for such a host if [Server.Proxy] takes it for an
// environment). A call on a connection that has carried a request to an API is 403 as well.
// Unknown and repeated query parameters and JSON fields are 400, so that a misspelt one is
// not silently ignored. A head of more than 8 KiB is 431, a body of more than 64 KiB 413. A
// request that takes longer than 10 seconds to arrive is dropped; if it is for the API, this
// applies up to the end of its head, or of a body of at most 64 KiB. A process of another
// user gets 403 and nothing else.
//
// The rest of a body that broke off is never read as a request: an answer that begins
// before the body was read to its end says Connection: close.
//
// Every answer of the agent itself has its version in the header Kyc-Version. An error about
// a path, a parameter, a field or a format that this version does not know names the version
// too, and says whether another one has been installed since the agent was started.
//
// # Approvals
//
// With [Server.Approvals] an environment, or a socket whose policy has Confirm, answers only
// programs that a person has approved: see package approval. A request for a token, AWS
// credentials, a helper's answer, a unit's credential or the API waits for the answer until its own
// deadline, and is then 403 approval_required. The calls about approvals are for the agent's own
// socket alone.
//
// # The API without the token
//
// With [Server.Proxy], which `kyc-agentd serve --no-proxy-api` turns off, a request whose
// host is an environment is forwarded to that environment's api_url, and the agent adds the
// Authorization header:
//
//	curl --unix-socket "$SOCK" http://staging/kyc --json @body.json
//
// In Go this is [Client.Forward], on a command line `kyc-agentd api`. Package apiproxy says
// what is forwarded and what is refused, and package pace how the requests of all programs
// stay within the API's limit: 429 and Retry-After while it is used up, and a turn in a fair
// order for a request with Prefer: wait=N, which is answered with Preference-Applied.
//
// # Credentials of systemd units
//
// The same socket answers a service manager that loads a unit's credential from it:
//
//	LoadCredential=kyc-token:%t/kyc-agentd/agent.sock
//
// The manager sends nothing. It names the unit and the credential in the abstract name that
// it connects from, and gets the bare token of the default environment, or for the
// credential kyc-token.prod that of prod, without a newline. The protocol has no errors: the
// credential is then empty, which the unit has to check, and the agent's log says why. A
// token lives an hour and a credential is read once, so this is for units that run and end.
// Only managers of this user and of root are answered.
//
// # Serving
//
// A daemon needs two calls, [socket.Listen] (or [socket.FromSystemd]) and [Server.Serve].
//
// A server with [Server.Restricted] is for somebody else's code: a socket of [[sockets]] in
// config.toml. It answers with the status of the policy's environments and with what the
// [agent.Policy] allows: tokens, AWS credentials, or requests to the API, of which methods and
// paths can be chosen. It refuses everything else, and more requests than the policy's rate,
// of which only those count that it hands something out for, or forwards.
// A min_valid above 30 minutes is denied, and one that needs a refresh is throttled to one a
// minute. Each such socket is at sockets/NAME/agent.sock ([socket.ListenNamed]), in a folder
// for a container to mount.
//
// The socket for forwarding is one of these, called extra, with [agent.ForwardingPolicy] for the
// environments in forward_environments. It is also agent.extra.sock beside the agent's own,
// for `ssh -R` to a machine with another administrator.
package ipc
