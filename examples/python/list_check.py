#!/usr/bin/env python3
"""Checks a name against a list, with the standard library only.

    list_check.py [NAME]
"""

import json
import sys
import urllib.error
import urllib.request

from kyc_auth import AgentError, CognitoAuth


def main(name="Jane Roe"):
    auth = CognitoAuth(None)  # $KYC_ENV, else the agent's default
    url = auth.get_token()["api_url"] + "/kyc"
    body = json.dumps({"subject": {"full_name": name}, "list_name": "ofac"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **auth.headers()})
    with urllib.request.urlopen(request, timeout=30) as response:
        print(json.dumps(json.load(response), indent=2))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except (AgentError, urllib.error.URLError) as e:
        sys.exit("list_check: %s" % e)
