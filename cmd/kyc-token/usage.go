package main

const usage = `Usage: kyc-token [-f FORMAT] [-min-valid DURATION] [-socket PATH] [ENVIRONMENT]

Prints an ID token of the KYC API, out of the sign-in that kyc-agentd holds.
It never asks a question and gives up after 8 seconds.

  ENVIRONMENT          staging, prod or another that the agent knows;
                       else $KYC_ENV, else the agent's default
  -f, -format FORMAT   token (default), header, curl or json
  -min-valid DURATION  a token with at least that much life left, or an error:
                       300 (seconds), 5m, 1h
  -socket PATH         the agent's socket; else $KYC_AGENT_SOCK,
                       else $XDG_RUNTIME_DIR/kyc-agentd/agent.sock,
                       else /run/user/UID/kyc-agentd/agent.sock
  -version             print the version
  -h, -help            print this text

Examples:
  curl -K <(kyc-token -f curl prod) https://kyc.legaltalent.ai/kyc -d @body.json
  kyc-token -f json staging | jq -r .expires_at

With -f curl a failure prints a line that keeps curl from sending anything.
When the sign-in is about to end, a warning says so on stderr, if that is a
terminal.

Exit status: 0 done, 64 wrong usage, 69 no agent, 70 internal error,
75 temporary failure, 77 sign-in needed, locked or denied,
78 unknown environment or wrong configuration.
`
