package main

// The help texts, as `kyc-agentd [COMMAND] --help` prints them. They are written by
// hand; a test holds each to its command's flags and to 80 columns.

const usageRoot = `Usage: kyc-agentd COMMAND [ARGUMENTS]

Holds sign-ins to the KYC API, one per environment, and hands out ID tokens to
programs of the same user over a Unix socket. kyc-token prints one.

  serve       run the daemon
  login       sign in to an environment
  logout      end a sign-in
  password    reset or change a password
  confirm     confirm a new account with the code that was sent
  status      show what the daemon holds
  doctor      look for what is wrong, and say how to put it right
  log         show the daemon's log
  reload      have the daemon read its configuration again
  api         send a request to the KYC API; the daemon puts the token on
  run         run one command with an agent of its own
  env         print the shell's line that names the agent's socket
  keygen      make a key for the file store
  completion  print a shell's script for completing command lines
  version     print the version, as --version does

Every command has --help, and --socket PATH for another daemon than that at
$KYC_AGENT_SOCK, else $XDG_RUNTIME_DIR/kyc-agentd/agent.sock, else
/run/user/UID/kyc-agentd/agent.sock (macOS: ~/Library/Application Support/…).

Example:
  kyc-agentd login prod
  curl -K <(kyc-token -f curl prod) --json @body.json \
    https://kyc.legaltalent.ai/kyc

Exit status: 0 done, 64 wrong usage, 69 no agent, 70 internal error,
75 temporary failure or cancelled, 77 sign-in needed, locked or denied,
78 unknown environment or wrong configuration.
`

const usageServe = `Usage: kyc-agentd serve [--config FILE] [--socket PATH] [--store STORE]
                        [--log-level LEVEL] [--no-proxy-api]

Runs the daemon in the foreground, until SIGTERM or Ctrl-C. A refresh in hand is
finished first; a second signal ends it at once. Under systemd it takes the
socket it is given, and says when it is ready.

  --config FILE      instead of $XDG_CONFIG_HOME/kyc-agent/config.toml
                     (~/.config/kyc-agent/config.toml), which may be missing
  --socket PATH      where to listen; its folder has to be private (mode 0700)
  --store STORE      where sign-ins are kept: keyring, file, memory, or auto for
                     the first of them that works
  --log-level LEVEL  debug, info, warn or error
  --no-proxy-api     do not forward requests to the API with the token put on;
                     tokens themselves are handed out as ever

Flags go before environment variables (KYC_STAGING_CLIENT_ID, …), these before
the file. SIGHUP, like kyc-agentd reload, reads the file again.
`

const usageLogin = `Usage: kyc-agentd login [-u USER] [--password-stdin] [ENVIRONMENT]
       kyc-agentd login --api-key-stdin [ENVIRONMENT]

Signs in: asks for user and password at the terminal, then whatever Cognito asks
(a code, a new password, the set-up of an authenticator app, what a stuck
account needs). The daemon keeps the sign-in, never the password. An empty
password leads to the pool's other ways, such as a code, where auth_flow is
"choice" or "custom".

  ENVIRONMENT        staging, prod or another that the daemon knows;
                     else $KYC_ENV, else the daemon's default
  -u, --user USER    do not ask for the user
  --password-stdin   read the password from standard input, one line
  --api-key-stdin    in the place of a sign-in keep a service key of the KYC API
                     (sk_…), read from standard input, one line
  --socket PATH      the daemon's socket

A password on a command line can be read by every process, so there is no flag
for one, nor for an API key. Example:
  pass show kyc/prod | kyc-agentd login -u ana@example.com --password-stdin prod
`

const usageLogout = `Usage: kyc-agentd logout [--local | --all-devices [--yes]] [ENVIRONMENT]

Ends a sign-in: has Cognito revoke it, where Cognito can be reached, and forgets
it in any case.

  ENVIRONMENT    staging, prod or another that the daemon knows;
                 else $KYC_ENV, else the daemon's default
  --local        only forget it here; Cognito is not asked
  --all-devices  end every sign-in of the user, on every machine; asks first,
                 and it is an error when Cognito did not do it
  --yes          do not ask
  --socket PATH  the daemon's socket
`

const usagePassword = `Usage: kyc-agentd password reset [-u USER] [ENVIRONMENT]
       kyc-agentd password change [-u USER] [ENVIRONMENT]

reset is for a password that is forgotten or must be set anew: Cognito sends a
code, which is asked for at the terminal with the new password. change asks for
the present password and the new one. Neither touches the sign-in that is kept.

  ENVIRONMENT      staging, prod or another that the daemon knows;
                   else $KYC_ENV, else the daemon's default
  -u, --user USER  do not ask for the user
  --socket PATH    the daemon's socket
`

const usageConfirm = `Usage: kyc-agentd confirm [-u USER] [--resend] [ENVIRONMENT]

Confirms a new account with the code that Cognito sent to its owner.

  ENVIRONMENT      staging, prod or another that the daemon knows;
                   else $KYC_ENV, else the daemon's default
  -u, --user USER  do not ask for the user
  --resend         have the code sent again first
  --socket PATH    the daemon's socket
`

const usageStatus = `Usage: kyc-agentd status [--json]

Shows what the daemon holds and which token files it keeps, never a secret. The
exit status is 0 when the daemon answers, whatever it says.

  --json         as JSON, for programs
  --socket PATH  the daemon's socket
`

const usageDoctor = `Usage: kyc-agentd doctor [--json] [--offline] [--config FILE] [ENVIRONMENT]

Looks for what keeps the agent from working, here and on the way to Cognito, and
says what to do about each finding. It changes nothing, shows no secret, and
ends within 10 seconds.

  ENVIRONMENT    the only one to look at; else $KYC_ENV, else all of them
  --json         as JSON, for programs; the ids of the findings stay the same
  --offline      do not use the network
  --config FILE  as for serve
  --socket PATH  the daemon's socket

For each environment it begins one sign-in at Cognito, as a user whose name is
made of random letters: the refusal tells whether the app client is right. No
account can be locked by it; the pool's log and its triggers see the attempt.

Exit status: 0 all is well, 1 there are warnings, 2 there are problems,
64 wrong usage.
`

const usageLog = `Usage: kyc-agentd log [-f] [-n LINES] [--json]

Shows the daemon's log: what the systemd journal of the user has of kyc-agentd,
by journalctl. A daemon that systemd did not start logs to its standard error.

  -f, --follow       go on with what is logged from now on
  -n, --lines LINES  so many of the last lines; 50 by default
  --json             as JSON, with the fields KYC_ENV, KYC_OP, KYC_CODE and more
  --socket PATH      the daemon's socket
`

const usageReload = `Usage: kyc-agentd reload

Has the daemon read its configuration again, and waits for it. When anything in
it is wrong, the daemon keeps what it had, and this says what.

  --socket PATH  the daemon's socket
`

const usageAPI = `Usage: kyc-agentd api [-d DATA] [-H HEADER]... [-i] [ENVIRONMENT] METHOD PATH

Sends a request to the KYC API by way of the daemon, which puts the token on:
this command never sees it. The answer goes to stdout as it comes; on a terminal
JSON is laid out. Redirects are not followed.

  ENVIRONMENT          staging, prod or another that the daemon knows;
                       else $KYC_ENV, else the daemon's default
  METHOD               GET, POST, PUT, …, in capitals
  PATH                 begins with / and is added to the environment's api_url
  -d, --data DATA      the body; @FILE is what is in FILE, @- standard input
  -H, --header HEADER  'Name: value', more than once for more; with a body there
                       is Content-Type: application/json without being asked
  -i, --include        the answer's status and headers before it
  --socket PATH        the daemon's socket

Exit status: 0 for an answer of 2xx or 3xx, 4 for 4xx, 5 for 5xx, the answer
being on stdout all the same; what went wrong before that is as for the other
commands. Example:
  kyc-agentd api prod POST /kyc -d @body.json | jq .status
`

const usageRun = `Usage: kyc-agentd run -u USER --password-file FILE [ENVIRONMENT] -- COMMAND
       kyc-agentd run -u USER --password-stdin [ENVIRONMENT] -- COMMAND
       kyc-agentd run --api-key-stdin [ENVIRONMENT] -- COMMAND
       kyc-agentd run [--config FILE] [--log-level LEVEL] [ENVIRONMENT] -- …

Signs in, without a person, to an agent that lives as long as COMMAND: for CI
jobs and containers. The agent keeps the sign-in in memory and listens on a
private socket, which KYC_AGENT_SOCK names to COMMAND; at the end the sign-in is
revoked. COMMAND is not started when the sign-in fails.

  ENVIRONMENT           staging, prod or another; COMMAND gets it as KYC_ENV;
                        else $KYC_ENV, else the default of the configuration
  -u, --user USER       sign in as USER; where this is left out, with username
                        and password_file of the configuration
  --password-file FILE  with the password in FILE: one line, yours, mode 0600
  --password-stdin      with the one on standard input, one line
  --api-key-stdin       with a service key of the KYC API in the place of a
                        sign-in, from standard input, one line
  --config FILE         as for serve
  --log-level LEVEL     of the agent, on standard error; error by default
  --socket PATH         not used

Standard input is COMMAND's, but for the two that read it: then COMMAND has
/dev/null. Signals go on to COMMAND. As the first process of a container it also
collects the processes that others leave behind.

Exit status: COMMAND's, or 128 and the number of the signal that ended it; 127
for no such command, 126 for one that cannot be run; else what kyc-agentd --help
says, and COMMAND was not started. Example:
  printf '%s\n' "$KYC_SECRET" |
    kyc-agentd run -u ci@example.com --password-stdin prod -- ./nightly.sh
`

const usageEnv = `Usage: kyc-agentd env [--sh] [--csh] [--fish] [--unset]

Prints the line that sets KYC_AGENT_SOCK in a shell to the agent's socket, for
programs that do not look for it themselves, and for an agent that listens
elsewhere. It is printed whether or not an agent answers; standard error says
when none does. Example:
  eval "$(kyc-agentd env)"

  --sh, --csh, --fish  for that family of shells; by default $SHELL's
  --unset              the line that takes KYC_AGENT_SOCK away again
  --socket PATH        the daemon's socket
`

const usageKeygen = `Usage: kyc-agentd keygen [PATH]

Makes the key that the file store encrypts sign-ins with, readable by its owner
alone. A file that is there is never overwritten.

  PATH           else $XDG_CONFIG_HOME/kyc-agent/store.key
                 (~/.config/kyc-agent/store.key), where serve looks for it
  --socket PATH  not used
`

const usageCompletion = `Usage: kyc-agentd completion bash|fish|zsh

Prints the script by which a shell completes command lines of kyc-agentd; what
it offers comes from the daemon. The packages have it installed. Otherwise:
  bash  source <(kyc-agentd completion bash)
  zsh   kyc-agentd completion zsh >"${fpath[1]}/_kyc-agentd"
  fish  kyc-agentd completion fish >~/.config/fish/completions/kyc-agentd.fish

  --socket PATH  not used
`

const usageVersion = `Usage: kyc-agentd version

Prints the version.

  --socket PATH  not used
`
