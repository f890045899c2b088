#!/usr/bin/env python3
"""Makes a watchlist and puts names on it, with requests.

    watchlist.py TITLE NAME...
"""

import json
import sys

import requests

from kyc_auth import AgentError
from kyc_auth.requests import KycAuth


def main(title, *names):
    with requests.Session() as session:
        session.auth = KycAuth()
        url = session.auth.api_url + "/kyc/watchlists"
        body = {"name": title, "lists_to_monitor": ["ofac", "un"], "subjects": [{"full_name": n} for n in names]}
        response = session.post(url, json=body, timeout=30)
        response.raise_for_status()
        print(json.dumps(response.json(), indent=2))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (AgentError, requests.RequestException) as e:
        sys.exit("watchlist: %s" % e)
