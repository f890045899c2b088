# After the guide's class: sign in once, a header for every request, a token that is
# refreshed by itself.
import os
import time

import requests
from kyc_auth import CognitoAuth

auth = CognitoAuth()
assert (auth.tokens, auth.token_expiry) == (None, None)
assert auth.config["client_id"] == CognitoAuth.STAGING["client_id"] != CognitoAuth.PROD["client_id"]
print(auth.get_id_token())
for early in auth.get_authorization_header, auth.refresh:
    try:
        early()
    except Exception as e:
        print(e)

assert auth.login(os.environ["USERNAME"], os.environ["PASSWORD"]) is auth.tokens
assert sorted(auth.tokens) == ["access_token", "id_token", "refresh_token"]
assert 0 < auth.token_expiry - time.time() <= 3600


def post(path, payload):
    headers = {"Authorization": auth.get_authorization_header(), "Content-Type": "application/json"}
    response = requests.post(os.environ["API_URL"] + path, json=payload, headers=headers)
    response.raise_for_status()
    return response.json()["data"]


print(post("/kyc", {"subject": {"full_name": "Ivan Exampletov"}, "list_name": "ofac"})["matches"][0]["confidence_score"])
print(post("/kyc/watchlists", {"name": "My Watchlist", "lists_to_monitor": ["ofac", "un"]})["message"])
before = auth.get_id_token()
assert auth.get_authorization_header() == "Bearer " + before
assert auth.refresh() is auth.tokens and auth.tokens["id_token"] == auth.get_id_token() and auth.tokens["refresh_token"]
