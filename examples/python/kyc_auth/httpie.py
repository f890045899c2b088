"""The KYC API with HTTPie: an auth plugin.

    httpie plugins install ./examples/python
    http -A kyc https://stg.kyc.legaltalent.ai/kyc subject[full_name]="Jane Roe" list_name=ofac
    http -A kyc -a prod https://kyc.legaltalent.ai/kyc subject[full_name]="Jane Roe" list_name=ofac

-a names the environment, with or without a colon after it (to HTTPie the colon means: no
password); else it is $KYC_ENV, else the agent's default. Without a token nothing is
sent, and the error says what to type. (HTTPie's own `-A bearer -a TOKEN` shows the
token to every process of the machine.)
"""

from typing import Optional

from httpie.plugins import AuthPlugin

from .requests import KycAuth


class KycPlugin(AuthPlugin):
    name = "KYC API"
    description = "an ID token of kyc-agentd; -a ENVIRONMENT"
    auth_type = "kyc"
    auth_require = False  # -a may be left out
    auth_parse = False  # it is not user:password, so HTTPie must not ask for a password
    netrc_parse = False

    def get_auth(self, username: Optional[str] = None, password: Optional[str] = None) -> KycAuth:
        return KycAuth((self.raw_auth or "").rstrip(":"))
