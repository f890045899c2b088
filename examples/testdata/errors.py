# After the guide's section on errors, with an except branch of its own for ClientError.
# With BOTOCORE=no it runs as on a machine without botocore.
import os
import sys

if os.environ["BOTOCORE"] == "no":
    sys.modules["botocore"] = None
    from kyc_auth import ClientError
else:
    from botocore.exceptions import ClientError
from kyc_auth import CognitoAuth, authenticate_user, safe_authenticate



def who(call):
    # Another user for each call: the agent slows down wrong passwords of one user.
    return os.environ["USERNAME"] + call, os.environ["PASSWORD"]


auth = CognitoAuth(environment="staging")
try:
    auth.login(*who("0"))
except ClientError as e:
    print("code: " + e.response["Error"]["Code"], isinstance(e, getattr(auth.client.exceptions, e.response["Error"]["Code"])))
except Exception as e:
    print("no code: " + type(e).__name__)
for n, call in enumerate((auth.login, authenticate_user, safe_authenticate), 1):
    try:
        call(*who(str(n)))
        print("signed in")
    except Exception as e:
        print(e)
