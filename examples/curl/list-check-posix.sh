#!/bin/sh
# list-check.sh for a shell without <( ), such as dash. curl reads the token from standard
# input, so the body has to be in a file.
#
#     list-check-posix.sh [BODY.json]
set -eu
here=$(dirname "$0")
command -v kyc-token >/dev/null || { echo 'list-check: kyc-token is not on PATH; run: make install' >&2; exit 69; }

kyc-token -f curl staging | curl --silent --show-error --fail-with-body --max-time 30 \
  --proto -all -K - \
  -H 'Content-Type: application/json' -d @"${1:-$here/list-check.json}" \
  "${API_URL:-https://stg.kyc.legaltalent.ai}/kyc"
