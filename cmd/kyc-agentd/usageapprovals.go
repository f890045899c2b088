package main

// The help texts of the verbs about approvals; see usage.go.

const usageApprove = `Usage: kyc-agentd approve [--for TIME] [CODE]
       kyc-agentd approve [--allow-method METHOD]... [--allow-path PATH]...
                          [--allow-all] [--for TIME] [CODE]
       kyc-agentd approve --unit UNIT --for TIME [--system] [--kind KIND]
                          [--on SOCKET] [-e ENVIRONMENT]

Lets a program use the sign-in of an environment, or a socket, that has
confirm = true. Shows which program asks, what started it, and what it wants,
and asks at the terminal. The approval is for the whole session of that
terminal, or for that service or app, and ends with it.

  CODE                 of the request, as the program printed it; without it
                       the only request that waits
  --for TIME           how long: 30m, 8h, with --unit 30d; default 30m, at most
                       24h, with --unit 365d
  --allow-method METHOD  of the API, this method, too; may be repeated
  --allow-path PATH    of the API, this path; * is one part of it; may be
                       repeated; without these only what was asked for
  --allow-all          of the API, everything
  --unit UNIT          nightly.service: each time it runs, also after a restart
                       of the daemon, without a question
  --system             a unit of the system's manager, not of yours
  --kind KIND          token, access, aws or api; default token
  --on SOCKET          on a socket with a policy, by its name
  -e, --env ENVIRONMENT  else $KYC_ENV, else the daemon's default
  --json, -o json      write the approval as JSON
  --socket PATH        the daemon's socket

Any program of yours can type this, too. If the agent has a passphrase, it is
asked for.
`

const usageApprovals = `Usage: kyc-agentd approvals [--json]

Lists the requests that wait for an approval, and what is approved.

  --json, -o json  write everything that is known of each as JSON
  --socket PATH    the daemon's socket
`

const usageRevoke = `Usage: kyc-agentd revoke [--json] CODE | --all

Takes an approval back, or answers a request that waits with no. What a program
has received it keeps: a token for up to an hour.

  CODE           of the approval or the request; see: kyc-agentd approvals
  -a, --all      all of them
  --json, -o json  write how many as JSON
  --socket PATH  the daemon's socket
`
