"""What the KycAuth classes of requests and httpx have in common."""

from typing import Optional, Union

from ._cognito import CognitoAuth
from ._retry import MAX_WAIT


class EnvironmentAuth:
    """The tokens of one environment, for the requests to its API."""

    def __init__(self, environment: Union[str, CognitoAuth, None] = None, socket_path: Optional[str] = None, *,
                 user: Optional[str] = None, max_wait: float = MAX_WAIT):
        known = isinstance(environment, CognitoAuth)
        self._auth = environment if known else CognitoAuth(environment, socket_path, user=user)
        self._max_wait = max_wait

    @property
    def api_url(self) -> str:
        return self._auth.get_token()["api_url"]
