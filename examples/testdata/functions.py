# After the guide's first section: one function, and requests with the token in a header.
import os

import requests
from kyc_auth import authenticate_user

try:
    signed_in = authenticate_user(os.environ["USERNAME"], os.environ["PASSWORD"], "staging")
    answer = requests.post(
        os.environ["API_URL"] + "/kyc",
        headers={"Authorization": f"Bearer {signed_in['id_token']}", "Content-Type": "application/json"},
        json={"subject": {"full_name": "John Doe"}, "list_name": "ofac"},
    )
    print(answer.json()["data"]["is_match"], sorted(signed_in), type(signed_in["expires_in"]).__name__)
except Exception as e:
    print(f"Error: {e}")
