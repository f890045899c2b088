package main

const usage = `Usage: kyc-token [-f FORMAT] [-t TYPE] [-min-valid DURATION] [-user NAME]
                 [-socket PATH] [ENVIRONMENT]
       kyc-token get [ENVIRONMENT] < REQUEST
       kyc-token exec [ENVIRONMENT] -- COMMAND [ARGUMENT...]

Prints an ID token for the KYC API, from the sign-in that kyc-agentd holds.
It never asks a question and gives up after 8 seconds, or after 5 if a tool
waits for it.

  ENVIRONMENT          or -e ENVIRONMENT: staging, prod or another;
                       else $KYC_ENV, else the agent's default
  -f, -format FORMAT   token (default), header, curl, json, env, k8s or google;
                       claims, without a token; aws, a credential_process
  -t, -type TYPE       id (default), or access for the access token, which can
                       change the account: with -f token or json, and only if
                       the environment has hand_out_access_tokens
  -min-valid DURATION  a token that stays valid at least that long, or an error:
                       300 (seconds), 5m, 1h
  -user NAME           an error if anybody else is signed in: the user name as
                       typed at the sign-in, Cognito's name, or the sub
  -socket PATH         the agent's socket; else $KYC_AGENT_SOCK, else
                       kyc-agentd/agent.sock in $XDG_RUNTIME_DIR, /run/user/UID
                       (macOS: ~/Library/Application Support)
  -v, -version         print the version
  -h, -help            print this text

get is a credential helper for Bazel and other tools with its protocol: it
reads {"uri": "https://..."} and prints the headers for it, if an environment's
api_url or allowed_hosts has that host. exec replaces itself
by COMMAND, with KYC_TOKEN, KYC_API_URL and KYC_TOKEN_EXPIRES_AT set.
An environment that is called get or exec: kyc-token -e get

Called as git-credential-kyc, terraform-credentials-kyc or goauth-kyc it is the
credential helper of git (2.46 or later), Terraform or the go command. They add
their own arguments; an ENVIRONMENT before those narrows the choice.

Examples:
  curl --proto -all -K <(kyc-token -f curl prod) --json @body.json \
    https://kyc.legaltalent.ai/kyc
  kyc-token exec prod -- k6 run load.js

With -f curl a failure prints a line that keeps curl from sending anything, with
-f google one that tells the library. curl --proto -all sends nothing either
if kyc-token cannot start or is killed.
A warning on stderr, if that is a terminal, says that the sign-in ends soon.

Exit status: 0 done, 64 wrong usage, 69 no agent,
70 internal error or stdout cannot be written, 75 temporary failure,
77 sign-in needed, locked or denied, 78 unknown environment or wrong
configuration. With exec also 126 COMMAND cannot be run, 127 it does not exist,
else its own status. With -f google it is 0 for Google's libraries.
`
