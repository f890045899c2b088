# Fails in every way there is, and prints all that a crash reporter would send: every
# exception of the chain, with the local variables of every frame of the package. The
# variables of this program, which knows its password, are not its subject.
import os
import sys
import traceback

import httpx
import requests
from kyc_auth import CognitoAuth, authenticate_user, safe_authenticate
from kyc_auth.httpx import KycAuth as HttpxAuth
from kyc_auth.requests import KycAuth


def report(error, seen):
    if error is None or error in seen:
        return
    seen.append(error)
    print(type(error).__name__, error, vars(error))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename != __file__:
            print("  " + frame.f_code.co_name, frame.f_locals)
    report(error.__cause__, seen)
    report(error.__context__, seen)


def attempt(name, call):
    try:
        call()
        print("did not fail: " + name)
    except Exception as e:
        print("== " + name)
        report(e, [])


user, password, url = os.environ["USERNAME"], os.environ["PASSWORD"], os.environ.get("OTHER_URL", "")
auth = CognitoAuth("staging")
failures = {
    "login": lambda: auth.login(user, password),
    "authenticate_user": lambda: authenticate_user(user, password),
    "safe_authenticate": lambda: safe_authenticate(user, password),
    "challenge": lambda: auth.login(user, password, lambda c: {"code": password}),
    "get_id_token": auth.get_id_token,
    "refresh": auth.refresh,
    "headers": auth.headers,
    "requests": lambda: requests.get(url, auth=KycAuth()),
    "httpx": lambda: httpx.get(url, auth=HttpxAuth()),
    # A dict where a header is expected.
    "dict": lambda: requests.get(url, headers={"Authorization": auth.headers()}),
}
for name in sys.argv[1:] or failures:
    attempt(name, failures[name])
print(repr(auth), vars(auth))
