package main

// The help texts of the commands below `audit`.

const usageAudit = `Usage: kyc-agentd audit show|verify|export|init

The audit log: who got what of the agent, from which program. It is
audit.jsonl in $XDG_STATE_HOME/kyc-agent (~/.local/state/kyc-agent).

  show      a table of the lines
  verify    find what was changed, removed or put in another order
  export    the lines, for another program
  init      begin a chain with a key, and print that key once

  --dir FOLDER         where a copy of the log is
  --socket PATH        the daemon's socket, which is not needed here

kyc-agentd audit show --help has more, and so have the others.
`

const auditFilters = `  --since TIME         2h, 7d, today, 14:30 or "2026-01-31 14:00"
  --until TIME         the same
  -u, --user USER      who was signed in
  --program TEXT       part of the path or the name of the program, or of one
                       that started it
  --event EVENT,...    token, helper, aws, api, sink, login, logout, lock,
                       unlock, asked, approved, denied, refused, reload, start,
                       stop

  --dir FOLDER         where a copy of the log is
  --socket PATH        the daemon's socket, which is not needed here
`

const usageAuditShow = `Usage: kyc-agentd audit show [FLAGS] [ENVIRONMENT]

Shows who got what, and when: the newest lines come last. Repeats of a minute
are one line, with ×COUNT.

  -f, --follow         and then each new line, until Ctrl-C
  --json, -o json      the lines as they are in the file
` + auditFilters

const usageAuditExport = `Usage: kyc-agentd audit export [FLAGS] [ENVIRONMENT]

Writes the lines for another program. As jsonl they are as in the file; all of
them together, without a filter, can be verified again.

  --output FORMAT      jsonl, which is the default, or csv (or: -o csv)
` + auditFilters

const usageAuditVerify = `Usage: kyc-agentd audit verify [FLAGS]

Finds what was changed, removed, appended or put in another order, and says
where. It asks for the first key at the terminal, which kyc-agentd audit init
has shown, and compares with what the daemon has logged to the journal.

  --key-file FILE      the first keys, one a line; "-" is standard input
  --log FILE           the daemon's log instead of the journal: its JSON lines,
                       or those of journalctl -o json; "-" is standard input
  --json, -o json      the report as JSON
  --dir FOLDER         where a copy of the log is
  --socket PATH        the daemon's socket, which is not needed here

Exit status: 0 nothing was found, 2 there are problems, else as kyc-agentd.
`

const usageAuditInit = `Usage: kyc-agentd audit init

Begins a chain with a key, at the next line, and prints that key. It is kept
nowhere else: write it down, away from this account. kyc-agentd audit verify
needs it to find what somebody has changed who can run programs as this user.

  --dir FOLDER         where a copy of the log is
  --socket PATH        the daemon's socket, which is not needed here
`
