"""The KYC API with HTTPie: an auth plugin.

    httpie plugins install ./examples/python
    http -A kyc https://stg.kyc.legaltalent.ai/kyc name="Jane Roe"
    http -A kyc -a prod https://kyc.legaltalent.ai/kyc name="Jane Roe"

-a names the environment, with or without a colon after it (to HTTPie the colon means: no
password); else it is $KYC_ENV, else the agent's default. Without a token nothing is
sent, and the error says what to type. (HTTPie's own `-A bearer -a TOKEN` shows the
token to every process of the machine.)
"""

from httpie.plugins import AuthPlugin

from kyc_requests import KycAuth


class KycPlugin(AuthPlugin):
    name = "KYC API"
    description = "an ID token of kyc-agentd; -a ENVIRONMENT"
    auth_type = "kyc"
    auth_require = False  # -a may be left out
    auth_parse = False  # it is not user:password, so HTTPie must not ask for a password
    netrc_parse = False

    def get_auth(self, username=None, password=None):
        return KycAuth((self.raw_auth or "").rstrip(":"))
