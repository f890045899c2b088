package main

// The help texts, as `kyc-agentd [COMMAND] --help` prints them. They are written by hand, but
// for the list of commands, which replaces COMMANDS; a test checks that each names its
// command's flags and fits into 80 columns. Tab shows a flag's line of them, see completion.go.

const usageRoot = `Usage: kyc-agentd COMMAND [ARGUMENTS]

Holds sign-ins to the KYC API, one per environment, and hands out ID tokens to
programs of the same user over a Unix socket. kyc-token prints one.

COMMANDS

Every command has --help, and --socket PATH for a daemon that is not at
$KYC_AGENT_SOCK, else $XDG_RUNTIME_DIR/kyc-agentd/agent.sock, else
/run/user/UID/kyc-agentd/agent.sock (macOS: ~/Library/Application Support/…).
An ENVIRONMENT can also be written as -e ENVIRONMENT, and --json as -o json.

Example:
  kyc-agentd login prod
  curl --proto -all -K <(kyc-token -f curl prod) --json @body.json \
    https://kyc.legaltalent.ai/kyc

Exit status: 0 done, 64 wrong usage, 69 no agent, 70 internal error,
75 temporary failure or cancelled, 77 sign-in needed, locked or denied,
78 unknown environment or wrong configuration, 130 ended by Ctrl-C.
`

const usageServe = `Usage: kyc-agentd serve [--config FILE] [--socket PATH] [--store STORE]
                        [--log-level LEVEL] [--no-proxy-api]

Runs the daemon in the foreground, until SIGTERM or Ctrl-C. It then finishes
open requests and refreshes; a second signal ends it at once. Under systemd it
uses the socket that systemd passes, and says when it is ready.

  --config FILE      instead of $XDG_CONFIG_HOME/kyc-agent/config.toml
                     (~/.config/kyc-agent/config.toml), which may be missing
  --socket PATH      where to listen; its folder must be private (mode 0700)
  --store STORE      where sign-ins are kept: keyring, file, memory, or auto for
                     the first of them that works; kubernetes or postgres to
                     share them with other machines
  --log-level LEVEL  debug, info, warn or error
  --no-proxy-api     do not forward requests to the API with a token; the
                     daemon still hands out tokens

Flags override environment variables (KYC_STAGING_CLIENT_ID, …), and these
override the file. SIGHUP, like kyc-agentd reload, reloads the file.
`

const usageLogin = `Usage: kyc-agentd login [-u USER] [--password-stdin] [--for TIME] [ENVIRONMENT]
       kyc-agentd login --browser [-u USER] [--for TIME] [ENVIRONMENT]
       kyc-agentd login --api-key-stdin [--for TIME] [ENVIRONMENT]

Signs in: asks for user and password at the terminal, then for what Cognito asks
(a code, a new password, the set-up of an authenticator app, a reset, a
confirmation). The daemon keeps the sign-in, never the password. If auth_flow is
"choice" or "custom", an empty password leads to other ways to sign in, such as
a code; if it is "browser", --browser is not needed. Where there is neither a
keyring nor a key for files, it offers to make a key; without one the sign-in
ends with the daemon.

  ENVIRONMENT        staging, prod or another that the daemon knows;
                     else $KYC_ENV, else the daemon's default
  -u, --user USER    do not ask for the user
  --password-stdin   read the password from standard input, one line
  --browser          sign in on a web page instead, with a passkey or at another
                     provider: prints its address, tries a browser, and waits 3
                     minutes for it to return, or for you to paste the address
                     at which it ended (on standard input, without a terminal)
  --api-key-stdin    instead of a sign-in keep a service key of the KYC API
                     (sk_…), read from standard input, one line
  --for TIME         revoke and forget the sign-in after that time: 8h
  --socket PATH      the daemon's socket

Every process can read a command line, so there is no flag for a password or an
API key. Example:
  pass show kyc/prod | kyc-agentd login -u ana@example.com --password-stdin prod
`

const usageLogout = `Usage: kyc-agentd logout [--local | --all-devices [--yes]] [--browser]
                         [ENVIRONMENT]
       kyc-agentd logout --all [--local] [--yes]

Ends a sign-in: Cognito revokes it, if Cognito can be reached, and the daemon
forgets it in any case. A sign-in that is shared with other machines (store =
"kubernetes" or "postgres") ends on all of them. A token file that still holds a
token is named, and the exit code is 75 then.

  ENVIRONMENT    staging, prod or another that the daemon knows;
                 else $KYC_ENV, else the daemon's default
  -a, --all      the sign-ins of all environments, here; asks first
  --local        only forget it here; Cognito is not asked
  --all-devices  end every sign-in of the user, on every machine; asks first,
                 and fails if Cognito did not do it
  --browser      also end the session that the browser has at the domain, on a
                 web page: else the next login --browser may ask nothing
  -y, --yes      do not ask
  --socket PATH  the daemon's socket
`

const usagePassword = `Usage: kyc-agentd password reset [-u USER] [ENVIRONMENT]
       kyc-agentd password change [-u USER] [ENVIRONMENT]

reset is for a password that was forgotten or must be reset: Cognito sends a
code, and you type it and the new password at the terminal. change asks for the
present password and the new one. Neither changes the sign-in that is kept.

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
  --resend         first send the code again
  --socket PATH    the daemon's socket
`

const usageStatus = `Usage: kyc-agentd status [--json] [--watch] [ENVIRONMENT]
       kyc-agentd status --security [--json]

Shows what the daemon holds and which token files it keeps, never a secret. The
exit status is 0 when the daemon answers, whatever it says. With an ENVIRONMENT
it shows that one, and the exit status is 0 only if a token can be had: it asks
the daemon for one, as kyc-token does.

  ENVIRONMENT      staging, prod or another that the daemon knows; $KYC_ENV is
                   not used
  --json, -o json  as JSON, for programs
  -w, --watch      keep showing it until Ctrl-C; no token is asked for
  --security       who can use the sign-ins, by which door, and from whom that
                   does not protect
  --socket PATH    the daemon's socket

Exit status with an ENVIRONMENT: 0 a token can be had, 69 no agent,
75 temporary failure, 77 sign-in needed, locked or denied, 78 unknown
environment or wrong configuration.
`

const usageList = `Usage: kyc-agentd list [--json | --quiet]

Lists the environments, with the state of the sign-in, the user and the URL of
the API: those of the daemon, or those of the configuration if no daemon
answers. ls is the same.

  --json, -o json  as JSON, for programs
  -q, --quiet      only the names, one a line
  --socket PATH    the daemon's socket
`

const usageWait = `Usage: kyc-agentd wait [--for DURATION] [ENVIRONMENT]

Waits until a token can be had: until the daemon runs, somebody has signed in or
Cognito can be reached again. It fails at once if waiting cannot help.

  ENVIRONMENT     staging, prod or another that the daemon knows;
                  else $KYC_ENV, else the daemon's default
  --for DURATION  how long: 30s (default), 5m, or 30 for seconds; with 0 it asks
                  once
  --socket PATH   the daemon's socket

Exit status: 0 a token can be had; else why there was none at the end: 69 no
agent, 75 temporary failure, 77 sign-in needed, locked or denied, 78 unknown
environment or wrong configuration. Example:
  kyc-agentd wait --for 2m prod && ./nightly.sh
`

const usageWhoami = `Usage: kyc-agentd whoami [--json] [ENVIRONMENT]

Shows who is signed in: the user, the sub, the claims of the ID token that are
about the person (e-mail, tenant, groups and others), and when token and sign-in
end. It never shows the token. The daemon refreshes the token if it has to.

  ENVIRONMENT      staging, prod or another that the daemon knows;
                   else $KYC_ENV, else the daemon's default
  --json, -o json  as JSON, with all claims
  --socket PATH    the daemon's socket

The claims alone, as JSON: kyc-token -f claims
`

const usageAuth = `Usage: kyc-agentd auth login|status|logout|whoami [ARGUMENTS]

The same as kyc-agentd login, status, logout and whoami.

  --socket PATH  the daemon's socket
`

const usageHelp = `Usage: kyc-agentd help [COMMAND]

Prints the help text of a command, as kyc-agentd COMMAND --help does.

  --socket PATH  not used
`

const usageDoctor = `Usage: kyc-agentd doctor [--json] [--offline] [--config FILE] [ENVIRONMENT]
       kyc-agentd doctor --fix [--yes] [--offline] [--config FILE] [ENVIRONMENT]

Finds what keeps the agent from working, here and on the way to Cognito, and
says what to do about each finding. It changes nothing without --fix, shows no
secret, and ends within 10 seconds.

  ENVIRONMENT      the only one to check; else $KYC_ENV, else all of them
  --fix            do what the fixes say, and ask before each one: start,
                   restart or reload the agent, systemctl's daemon-reload,
                   enable and reset-failed, chmod of your own socket and
                   folders. Then the checks run again. It deletes nothing, makes
                   no key, kills no process, needs no root and signs nobody in
                   or out
  --yes            do not ask
  --json, -o json  as JSON, for programs; the ids of the findings stay the same
  --offline        do not use the network
  --config FILE    as for serve
  --socket PATH    the daemon's socket

For each environment it begins one sign-in at Cognito, as a user with a random
name: the refusal shows whether the app client is right. This cannot lock an
account; the log of the user pool and its triggers see the attempt.

Exit status: 0 all is well, 1 there are warnings, 2 there are problems,
64 wrong usage.
`

const usageLog = `Usage: kyc-agentd log [-f] [-n LINES] [--since TIME] [--json]

Shows the daemon's log with journalctl: the entries of kyc-agentd in the systemd
journal of the user. A daemon that systemd did not start logs to its standard
error.

  -f, --follow       keep showing new lines
  -n, --lines LINES  how many of the last lines; 50 by default, and all of them
                     with --since
  --since TIME       only what is newer: 2h, 30m, today, "2026-01-31 14:00", or
                     what else systemd.time(7) has
  --json, -o json    as JSON, with the fields KYC_ENV, KYC_OP, KYC_CODE and more
  --socket PATH      the daemon's socket
`

const usageStart = `Usage: kyc-agentd start

Starts the daemon in the background and waits until it answers: with systemd if
its user units are installed, with launchd if its job is there, else as a
process that outlives the terminal and logs to
~/.local/state/kyc-agent/kyc-agentd.log. It says which.

  --socket PATH  the daemon's socket
`

const usageStop = `Usage: kyc-agentd stop

Stops the daemon and what would start it at the next request, until the next
start of the session, and waits for its end: systemd's user units, launchd's
job, or a process. If a refresh is under way, that takes up to 65 s: without
its end the sign-in could be lost. Sign-ins stay where they are kept.

  --socket PATH  the daemon's socket
`

const usageRestart = `Usage: kyc-agentd restart [--upgrade]

Stops the daemon, as kyc-agentd stop does, and starts it again. Under systemd
clients wait meanwhile. A daemon that no service manager has started gets the
flags that it had, and the variables of this shell.

With --upgrade the installed program takes over in the same process instead:
sign-ins that are kept in memory stay, and so do the flags and the variables.
If the installed program refuses that, the old one goes on.

  --upgrade      keep the process and its sign-ins
  --socket PATH  the daemon's socket
`

const usageUse = `Usage: kyc-agentd use ENVIRONMENT

Makes ENVIRONMENT the default one: sets default_environment in config.toml and
makes the daemon reload it. $KYC_ENV overrides it in a shell.

  --socket PATH  the daemon's socket
`

const usageEnvironment = `Usage: kyc-agentd environment list [--json | --quiet]

Lists the environments, as kyc-agentd list does.

  --json, -o json  as JSON, for programs
  -q, --quiet      only the names, one a line
  --socket PATH    the daemon's socket
`

const usageEnvList = `Usage: kyc-agentd env list [--json | --quiet]

Lists the environments, as kyc-agentd list does.

  --json, -o json  as JSON, for programs
  -q, --quiet      only the names, one a line
  --socket PATH    the daemon's socket
`

const usageConfig = `Usage: kyc-agentd config path
       kyc-agentd config show [--json]
       kyc-agentd config get KEY
       kyc-agentd config set KEY VALUE [KEY VALUE]...
       kyc-agentd config check

path prints where config.toml is. show prints each value that is in force and
where it is from: the file and the line, a KYC_* variable, the environment that
is extended, or default. get prints one value, and an empty line if it has none.
set changes the file and keeps its comments and layout; it refuses what check
would refuse. check says what a daemon that starts now would not accept.

  KEY            default_environment, environments.prod.region, …: man
                 kyc-agent.toml lists them
  VALUE          a list has commas: staging,prod; "" means the default
  --config FILE  as for serve
  --json         of show: as JSON, for programs
  --socket PATH  not used

A secret is no value: it is in a file that a key names. Example:
  kyc-agentd config set environments.ci.extends prod log_level debug
`

const usageSupport = `Usage: kyc-agentd support [--offline] [-n LINES] [FILE]

Writes a text file for a report of a problem: versions, status, doctor, units,
the last lines of the log, and config.toml without comments. No secret is in it,
and names of users are replaced. It needs no agent and no systemd. Look through
it before you send it.

  FILE             a new file, mode 0600; else kyc-agentd-support-TIME.txt here
  --config FILE    as of serve
  --offline        leave out what needs the network
  -n, --lines N    of the log; 200 without the flag
  --socket PATH    the daemon's socket
`

const usageReload = `Usage: kyc-agentd reload

Makes the daemon reload its configuration, and waits for the result. If anything
in it is wrong, the daemon keeps the old one, and this command says why.
Sign-ins that are only in memory are moved into the store that there is now.

If the agent has a passphrase, it is asked for when the file takes a protection
away, such as confirm, audit, auto_lock or a limit of a socket, or sends tokens
elsewhere. You are shown each such key, old and new. Without a terminal, and
with SIGHUP, such a file is refused.

  --socket PATH  the daemon's socket
`

const usageEnv = `Usage: kyc-agentd env [--sh] [--csh] [--fish] [--unset]
       kyc-agentd env list

Prints the line that sets KYC_AGENT_SOCK in a shell to the agent's socket, for
programs that do not find it themselves, and for an agent that listens
elsewhere. It prints the line even if no agent answers, with a warning on
standard error. env list is kyc-agentd environment list. Example:
  eval "$(kyc-agentd env)"

  --sh, --csh, --fish  for that family of shells; by default that of $SHELL
  --unset              print the line that unsets KYC_AGENT_SOCK
  --socket PATH        the daemon's socket
`

const usageKeygen = `Usage: kyc-agentd keygen [PATH]

Makes the key with which the file store encrypts sign-ins, readable only by its
owner. It never overwrites a file. A reload then moves sign-ins that are only
in memory into files.

  PATH           else $XDG_CONFIG_HOME/kyc-agent/store.key
                 (~/.config/kyc-agent/store.key), where serve looks for it
  --socket PATH  not used
`

const usageStore = `Usage: kyc-agentd store init [--config FILE] [--dsn-file FILE]

Prepares the store that the agents of several machines share (store =
"postgres" or "kubernetes" in config.toml), once for all of them. It makes the
table of PostgreSQL, if there is none, and says what to grant to the agents'
role. The Secret of Kubernetes is made by kubectl; init checks that this agent
may read it.

  --dsn-file FILE  an absolute path, of the connection string of a role that may
                   make tables; instead of postgres_dsn_file, and 0600 as well
  --config FILE    instead of $XDG_CONFIG_HOME/kyc-agent/config.toml
  --socket PATH    not used
`

const usageCompletion = `Usage: kyc-agentd completion bash|fish|zsh

Prints a script with which a shell completes command lines of kyc-agentd; the
daemon says which environments there are. The packages install it. Otherwise:
  bash  source <(kyc-agentd completion bash)
  zsh   kyc-agentd completion zsh >"${fpath[1]}/_kyc-agentd"
  fish  kyc-agentd completion fish >~/.config/fish/completions/kyc-agentd.fish

  --socket PATH  not used
`

const usageVersion = `Usage: kyc-agentd version [--json]

Prints the version. kyc-agentd -v does so, too.

  --json, -o json  as JSON, with the version of Go and the platform
  --socket PATH    not used
`
