#!/bin/sh
# Checks a name against the lists, with HTTPie and its auth plugin, which one line
# installs: httpie plugins install ./examples/python
#
#     list-check.sh [NAME]
#
# With --check-status HTTPie fails if the API answers with an error.
set -eu
http --ignore-stdin --check-status --body -A kyc -a staging: \
  "${API_URL:-https://stg.kyc.legaltalent.ai}/kyc" subject[full_name]="${1:-Jane Roe}" list_name=ofac
