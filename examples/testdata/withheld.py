# Everything that a program may do with the refresh token. Each line has to say that it is
# withheld.
import copy
import json
import os
import urllib.request

import boto3
import httpx
import requests
from kyc_auth import CognitoAuth

auth = CognitoAuth()
auth.login(os.environ["USERNAME"], os.environ["PASSWORD"])
token, url = auth.tokens["refresh_token"], os.environ["OTHER_URL"]
cognito = boto3.client("cognito-idp", region_name="us-east-2", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x")
parameters = {"REFRESH_TOKEN": token}
uses = {
    "print": lambda: str(token),
    "print the dict": lambda: str(auth.tokens),
    "f-string": lambda: f"{token}",
    "percent": lambda: "%s" % token,
    "format": lambda: "{:>9}".format(token),
    "add": lambda: "Bearer " + token,
    "slice": lambda: token[:20],
    "method": lambda: token.split("."),
    "len": lambda: len(token),
    "join": lambda: ".".join(token),
    "json": lambda: json.dumps(auth.tokens),
    "copy": lambda: copy.deepcopy(auth.tokens),
    "boto3": lambda: cognito.initiate_auth(ClientId="x", AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters=parameters),
    "requests json": lambda: requests.post(url, json=parameters),
    "requests form": lambda: requests.post(url, data=parameters),
    "requests body": lambda: requests.post(url, data=token),
    "requests header": lambda: requests.get(url, headers={"X-Token": token}),
    "requests header, formatted": lambda: requests.get(url, headers={"X-Token": f"Bearer {token}"}),
    "httpx header": lambda: httpx.get(url, headers={"X-Token": token}),
    "httpx header, formatted": lambda: httpx.get(url, headers={"X-Token": f"Bearer {token}"}),
    "httpx json": lambda: httpx.post(url, json=parameters),
    "urllib header": lambda: urllib.request.urlopen(urllib.request.Request(url, headers={"X-Token": f"Bearer {token}"})),
}
for name, use in uses.items():
    try:
        said = "text: " + str(use())
    except Exception as e:
        said = "%s: %s" % (type(e).__name__, e)
    print(name + ": " + said.replace("\n", " "))
