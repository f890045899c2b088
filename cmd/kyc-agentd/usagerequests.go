package main

// The help texts of the verbs that send requests or run a program that does; see usage.go.

const usageAPI = `Usage: kyc-agentd api [-d DATA] [-H HEADER]... [-i] [--wait TIME]
                      [ENVIRONMENT] METHOD PATH

Sends a request to the KYC API through the daemon, which adds the token: this
command never sees it. The answer goes to stdout as it arrives; on a terminal
JSON is indented. Redirects are not followed.

  ENVIRONMENT          staging, prod or another that the daemon knows;
                       else $KYC_ENV, else the daemon's default
  METHOD               GET, POST, PUT, …, in capitals
  PATH                 begins with / and is added to the environment's api_url
  -d, --data DATA      the body; @FILE reads FILE, @- standard input
  -H, --header HEADER  'Name: value'; may be repeated; a body has Content-Type:
                       application/json unless this says otherwise
  -i, --include        print the answer's status and headers before it
  --wait TIME          wait up to TIME (10m; at most 1h) for a turn while the
                       API's rate limit is used up
  --socket PATH        the daemon's socket

Exit status: 0 for an answer of 2xx or 3xx, 4 for 4xx, 5 for 5xx, in each case
with the answer on stdout; for other errors as for the other commands. Example:
  kyc-agentd api prod POST /kyc -d @body.json | jq .status
`

const usageRun = `Usage: kyc-agentd run -u USER --password-file FILE [ENVIRONMENT] -- COMMAND
       kyc-agentd run -u USER --password-stdin [ENVIRONMENT] -- COMMAND
       kyc-agentd run --api-key-stdin [ENVIRONMENT] -- COMMAND
       kyc-agentd run [--config FILE] [--log-level LEVEL] [ENVIRONMENT] -- …
       kyc-agentd run --api-only [--sandbox] [--allow-path PATH]...
                      [--allow-method METHOD]... [-u …] [ENVIRONMENT] -- …

Signs in, without a person, to an agent that lives as long as COMMAND: for CI
jobs and containers. The agent keeps the sign-in in memory and listens on a
private socket, and COMMAND gets its path as KYC_AGENT_SOCK; at the end the
sign-in is revoked. If the sign-in fails, COMMAND is not started.

  ENVIRONMENT           staging, prod or another; COMMAND gets it as KYC_ENV;
                        else $KYC_ENV, else the default of the configuration
  -u, --user USER       sign in as USER; without it, with username and
                        password_file of the configuration
  --password-file FILE  with the password in FILE: one line, yours, mode 0600
  --password-stdin      with the password on standard input, one line
  --api-key-stdin       instead of a sign-in use a service key of the KYC API,
                        from standard input, one line
  --config FILE         as for serve
  --log-level LEVEL     of the agent, on standard error; error by default
  --api-only            give COMMAND the API and no token: see below
  --socket PATH         with --api-only, the daemon's socket; else not used

With --api-only, COMMAND gets no socket and no token, but KYC_API_URL, a port on
127.0.0.1, and as KYC_TOKEN a random word that is worth nothing anywhere else.
Requests there with "Authorization: Bearer $KYC_TOKEN" go to the API, and the
agent adds the token. Without -u, --api-key-stdin and --config that is the
daemon, which is signed in. No other KYC_ variable but KYC_ENV is handed on. The
port is closed when COMMAND and all that it started have ended; what does not
end with COMMAND is ended.

  --allow-path PATH     only this path of the API; * is one part of it; may be
                        repeated
  --allow-method METHOD  only this method, such as GET, which includes HEAD; may
                        be repeated
  --sandbox             run COMMAND in bubblewrap: without your other processes,
                        their sockets and the network, and with a home folder
                        that is read-only and has no keys in it. It can write
                        the working folder, /tmp and /var/tmp. Linux only.

Without --sandbox, --api-only is a convenience: COMMAND has your user id and can
ask the daemon itself. security.md of the documentation lists the ways.

COMMAND gets standard input, or /dev/null if one of the two flags above reads
it. Signals are relayed to COMMAND. As the first process of a container it also
reaps orphaned processes.

Exit status: that of COMMAND, or 128 plus the number of the signal that ended
it; 127 for no such command, 126 for one that cannot be run; else what
kyc-agentd --help says, and COMMAND was not started. Example:
  printf '%s\n' "$KYC_SECRET" |
    kyc-agentd run -u ci@example.com --password-stdin prod -- ./nightly.sh
`
