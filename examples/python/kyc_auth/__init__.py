"""ID tokens for the KYC API from kyc-agentd.

A program that was written after the API's guide works when its import changes:

    from kyc_auth import CognitoAuth

    auth = CognitoAuth(environment="staging")
    auth.login("user@example.com", password)
    headers = {"Authorization": auth.get_authorization_header()}

The names, the defaults, the exceptions and the messages are those of the guide. The
difference is inside: the agent does the sign-in and the refreshes, so that no password
and no refresh token stays in this process. A program may leave login() out when a person
has typed `kyc-agentd login`. Once it has called login(), it gets tokens of that user and
of nobody else.

With requests, httpx and HTTPie use KycAuth of kyc_auth.requests and kyc_auth.httpx and
the plugin in kyc_auth.httpie: an entry in ~/.netrc does not replace their header, and
they send no token to another server. This module needs the standard library only.

Nothing here prompts or waits for a person, and no error, traceback or repr shows a token
or a password.
"""

from typing import TYPE_CHECKING, Any

from ._agent import AgentError, default_socket
from ._cognito import PROD_CONFIG, STAGING_CONFIG, CognitoAuth, authenticate_user, safe_authenticate
from ._secret import AccessTokenWithheld, RefreshTokenWithheld, Withheld, WithheldError

if TYPE_CHECKING:
    from ._clienterror import ClientError, CognitoError

__all__ = [
    "AccessTokenWithheld", "AgentError", "ClientError", "CognitoAuth", "CognitoError", "PROD_CONFIG",
    "RefreshTokenWithheld", "STAGING_CONFIG", "Withheld", "WithheldError", "authenticate_user", "default_socket",
    "safe_authenticate",
]


def __getattr__(name: str) -> Any:
    if name in ("ClientError", "CognitoError"):
        from . import _clienterror

        return getattr(_clienterror, name)
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
