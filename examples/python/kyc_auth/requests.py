"""KycAuth: the KYC API with requests.

    session = requests.Session()
    session.auth = KycAuth("staging")
    session.post(session.auth.api_url + "/kyc", json={...}, timeout=30)

Use auth=, not headers=: requests replaces an Authorization header by an entry in
~/.netrc for the same host without a warning, but does not replace auth=.
"""

import time
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from ._environment import EnvironmentAuth
from ._retry import wait_after
from ._secret import Secret


class KycAuth(EnvironmentAuth, AuthBase):
    """Puts an ID token on requests to the environment's API and on no others.

    A 401 is answered once, with a newer token. A 429 is answered once, after the time that
    the API asks for, unless that is more than max_wait seconds (30; 0 never waits).

    environment may be a CognitoAuth; with its login() or user= the tokens are that user's."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        sent = _set(request, self._auth.token_for(request.url, request.headers.get("Host")))
        if request.body is None or isinstance(request.body, (bytes, str)):  # a stream cannot be sent twice
            request.register_hook("response", lambda r, **kwargs: self._again(r, sent, **kwargs))
        return request

    def _again(self, response: Response, sent: str, **kwargs: Any) -> Response:
        answered = set()
        while response.status_code in (401, 429) and response.status_code not in answered:
            answered.add(response.status_code)
            # After a redirect to another host requests has removed the header: do not add it again.
            if response.request.headers.get("Authorization") != sent:
                break
            again = response.request.copy()
            if response.status_code == 401:
                before, sent = sent, _set(again, self._auth.newer_token())
                if sent == before:
                    break  # there is no newer token, and the 401 is final
            else:
                wait = wait_after(response.headers, self._max_wait, response.content)
                if wait is None:
                    break
                time.sleep(wait)
                sent = _set(again, self._auth.token_for(again.url, again.headers.get("Host")))
            response = _send(response, again, **kwargs)
        return response


def _send(response: Response, again: PreparedRequest, **kwargs: Any) -> Response:
    response.content  # read to the end, so that the connection can be used again
    response.close()
    answer = response.connection.send(again, **kwargs)
    answer.history.append(response)
    answer.request = again
    return answer


def _set(request: PreparedRequest, token: str) -> str:
    request.headers["Authorization"] = Secret("Bearer " + token)
    return request.headers["Authorization"]
