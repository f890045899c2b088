#!/usr/bin/env bash
# Makes a watchlist: POST /kyc/watchlists.
#
#     watchlist.sh [BODY.json]
#
# How the token gets to curl: see list-check.sh.
set -euo pipefail
here=$(dirname "$0")
command -v kyc-token >/dev/null || { echo 'watchlist: kyc-token is not on PATH; run: make install' >&2; exit 69; }

curl --silent --show-error --fail-with-body --max-time 30 \
  --proto -all -K <(kyc-token -f curl staging) \
  -H 'Content-Type: application/json' -d @"${1:-$here/watchlist.json}" \
  "${API_URL:-https://stg.kyc.legaltalent.ai}/kyc/watchlists"
