// Package ipc is the agent's socket API: HTTP/1.1 with JSON over a Unix socket
// that answers only its owner.
//
// A daemon needs two calls, [Listen] (or [Inherited], under systemd) and
// [Server.Serve]; a Go program that wants a token needs one:
//
//	token, err := new(ipc.Client).Token(ctx, agent.TokenRequest{Environment: "prod"})
//
// *[Client] implements [agent.Service], so it does over the socket what the agent
// does in its own process, with the same errors. A program that calls the KYC API is
// better off with package tokensource beside this one: an http.RoundTripper and an
// oauth2.TokenSource over the Client. For a person there is curl:
//
//	curl --unix-socket "$XDG_RUNTIME_DIR/kyc-agentd/agent.sock" http://kyc-agent/v1/token?env=prod
//
// ipc/openapi.yaml describes every call word for word, and a test holds it to the server.
//
// # Calls
//
//	GET    /v1/token?env=&min_valid=&format=   an ID token
//	POST   /v1/helper/{protocol}?env=&min_valid=&operation=
//	                                           a credential helper's answer
//	GET    /v1/status                          what the agent holds; never a secret
//	POST   /v1/login                           {"environment", "username", "password"}, or {"environment", "api_key"}
//	POST   /v1/account                         {"environment", "action", "username", "password"}
//	POST   /v1/login/{id}                      {"answers": {name: value}}
//	GET    /v1/login/{id}                      waits until a sign-in or a recovery is over
//	DELETE /v1/login/{id}                      gives a sign-in or a recovery up
//	POST   /v1/logout                          {"environment", "scope"}
//	POST   /v1/reload                          reads the configuration again
//	GET    /v1/metrics                         figures in the OpenMetrics or the Prometheus text format
//
// An empty or missing environment means the agent's default. min_valid is a Go
// duration ("5m") or whole seconds ("300"). A token is answered within 7 seconds, within
// 4.5 in the formats k8s and google; where Cognito takes longer it is 503, and the
// refresh goes on for the next request. A Kyc-Warning header beside a token is a line for
// the person: the sign-in ends soon.
//
// The answer to a login is {"state":"done"}, or {"state":"challenge"} with the
// question, an id for the answer and expires_at, three minutes away. A client that
// disconnects before either arrives cancels the sign-in. (Half a close, as
// `nc -N` does it, is a disconnect here; a token is answered all the same.) An answer
// to a challenge that has ended meanwhile, by its three minutes or at Cognito, gets
// the error it ended with. GET /v1/login/{id} tells it at once; a program at a prompt
// holds that call open, and by hanging up, as its death does, gives the sign-in up.
//
// A recovery, /v1/account, goes the same way, and its challenges are answered at
// /v1/login/{id} too. Its action is "reset-password", "change-password", "confirm" or
// "resend-code". A scope of "local" or "all-devices" makes a logout end less or more
// than this sign-in.
//
// # Formats
//
// The agent renders a token, so that clients copy bytes. format= chooses:
//
//	token    the ID token                     the default for Accept: text/plain
//	header   Authorization: Bearer <token>    for curl -H @file
//	curl     oauth2-bearer = "<token>"        for curl -K
//	json     a flat object of strings         the default otherwise
//	env      KYC_TOKEN=…, KYC_API_URL=… and KYC_TOKEN_EXPIRES_AT=…, quoted for a
//	         shell where they have to be
//	k8s      a Kubernetes ExecCredential, client.authentication.k8s.io/v1
//	google   the answer to a Google auth library's executable-sourced credential
//	aws      AWS credentials instead of the token, as an AWS SDK runs a
//	         credential_process for; a Kyc-Environment header says whose they are
//
// Every one ends with a newline. The formats below json tell the end of the token a
// minute early (half of what is left, where that is less), because the tools that
// read them use a token up to the second they were told. An API key has no end: its
// expires_at and expires_in in json, and KYC_TOKEN_EXPIRES_AT, are empty; k8s and
// google leave theirs out.
//
// # Helpers
//
// A tool that runs a credential helper asks in words of its own. They are the body of
// a POST /v1/helper/{protocol}, as application/octet-stream, and the answer is what
// the tool wants to read, so that `kyc-token` copies bytes both ways:
//
//	bazel      {"uri"}, and the headers for it       Bazel, EngFlow and others
//	git        key=value lines both ways             operation=get or capability
//	terraform  a host, and {"token"} or {}
//	goauth     nothing, or a URL; URLs and headers   the go command
//	k8s        the content of KUBERNETES_EXEC_INFO, and an ExecCredential
//	exec       nothing, and NAME=value lines         `kyc-token exec`
//
// A URL picks its environment: its scheme, host and port must be exactly those of the
// environment's api_url, or its host and port those of an allowed_hosts and its scheme
// https. Upper case does not matter in a host; a user, a trailing dot, percent or
// other encodings are refused. env= then narrows the choice. Where a protocol has a way
// to say that there is no token for a host it is said so: 204 for git and goauth, {} for
// terraform. An answer comes within 4.5 seconds, and tells the token's end as the formats
// for tools do.
//
// # Errors
//
// The status and the code of a problem say the same:
//
//	400 usage                 the request itself is wrong (also 404 for a path or a
//	                          challenge that is not there, 405, 413, 415)
//	401 login_required        a person has to sign in, or to begin again
//	403 denied                refused by a rule
//	404 unknown_environment   no such environment is configured
//	422 configuration         the environment's configuration cannot work
//	423 locked                the store is locked
//	429 throttled             Cognito asks to slow down
//	500 internal              a bug; the agent's log says more
//	503 unavailable           try again later; Retry-After says when
//
// The body is application/problem+json (RFC 9457) with code, detail, hint and
// environment; the code is in a Kyc-Error header as well. With Accept: text/plain it is
// one line of text. With format=curl and no Accept: text/plain it is a curl
// configuration that makes curl send nothing, because `curl -K <(…)` does not look at
// our status; with format=google it is an answer without success.
//
// # The API without the token
//
// With [Server.Proxy], which `kyc-agentd serve --no-proxy-api` leaves out, a request whose
// host is an environment goes on to that environment's api_url, and the agent puts the
// Authorization header on:
//
//	curl --unix-socket "$SOCK" http://staging/kyc --json @body.json
//
// In Go it is [Client.Forward], on a command line `kyc-agentd api`. Bodies of any size
// go through as they come, both ways at once, and the answer is the API's own, be it a
// redirect, a 429 or a 500. When it is a 401 and the request had no body, or one of at
// most 64 KiB that tells its length, the agent gets a newer token and asks once more.
// An error of the agent's own is a problem as above, with its code in a Kyc-Error
// header, which no answer of the API's has; an API that cannot be reached is
// unavailable. What net/http itself refuses, a head that makes no sense or is too
// large, is a line of text with Connection: close.
//
// The client does not get to see the token, unless the API itself shows it: an answer
// that echoes the request's head is passed on as it is. Nor does the token go anywhere
// else: redirects are not followed, and a path that could lead out of the api_url's own
// is refused, which is one with "." or ".." in it, "//", a backslash, or a slash or
// control character in some encoding. So are an Authorization of the client's, Upgrade,
// CONNECT, TRACE, whole URLs, trailers, and HTTP/1.0, which cannot tell an answer that
// was cut off from one that is complete. A client or an API that stands still for a
// minute in the midst of a body is given up; one that hangs up ends the request at the
// other side too. An API may take two minutes to begin its answer.
//
// # Credentials of systemd units
//
// The same socket answers a service manager that loads a unit's credential from it:
//
//	LoadCredential=kyc-token:%t/kyc-agentd/agent.sock
//
// Such a manager sends nothing and names the unit and the credential in the abstract
// name that it connects from. It gets the bare token of the default environment, or for
// the credential kyc-token.prod that of prod, and no newline. There is no way to tell it
// of an error: the credential is empty then, which the unit has to look for, and the
// agent's log says why. A token lives an hour and a credential is read once, so this is
// for units that run and end. Only managers of this user and of root are answered.
//
// # The socket for forwarding
//
// agent.extra.sock beside the agent's own is for `ssh -R`, to a machine whose
// administrator is somebody else. It is a [Server] over [agent.Restrict]: it hands out
// tokens of the environments in forward_environments, in every format but aws and to
// every helper, tells their status, and refuses everything else.
//
// # Two versions
//
// Every answer of the agent's own has its version in the header Kyc-Version. An error
// about a path, a parameter, a field or a format that is not known here says it too,
// and whether another version has been installed since the agent was started.
//
// # What is refused
//
// A request with Origin or Referer, or for a host other than kyc-agent, comes from
// a browser by way of somebody's proxy: 403 (404 for such a host where [Server.Proxy]
// takes it for an environment). A call on a connection that has carried a request to an
// API is 403 as well. Unknown and repeated query parameters
// and JSON fields are 400, so that a misspelt one is not silently ignored. A head
// of more than 8 KiB is 431, a body of more than 64 KiB 413. A request that takes
// longer than 10 seconds to arrive is dropped; for one to the API that holds up to the
// end of its head, or of a body of at most 64 KiB. A process of another user gets 403
// and nothing else.
//
// What is left of a body that broke off is never read as a request: an answer that begins
// before the body was read to its end says Connection: close.
package ipc
