# Signs in, and waits for a line on stdin; by then somebody else has signed in.
import os
import sys

import requests
from kyc_auth import CognitoAuth
from kyc_auth.requests import KycAuth

auth = CognitoAuth("staging")
auth.login(os.environ["USERNAME"], os.environ["PASSWORD"])
print("signed in", flush=True)
sys.stdin.readline()
for call in auth.get_id_token, auth.refresh, auth.get_authorization_header, auth.headers, lambda: requests.get(os.environ["API_URL"], auth=KycAuth(auth)):
    try:
        print("went on: %s" % call())
    except Exception as e:
        print(e)
