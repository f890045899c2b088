"""KycAuth: the KYC API with requests.

    session = requests.Session()
    session.auth = KycAuth("staging")
    session.post(session.auth.api_url + "/kyc", json={...}, timeout=30)

Use auth=, not headers=: requests replaces an Authorization header by an entry in
~/.netrc for the same host without a warning, but does not replace auth=.
"""

from requests.auth import AuthBase

from kyc_auth import CognitoAuth


class KycAuth(AuthBase):
    """Puts an ID token on requests to the environment's API and on no others.
    A 401 is answered once, with a newer token."""

    def __init__(self, environment=None, socket_path=None):
        self._auth = CognitoAuth(environment, socket_path)

    @property
    def api_url(self):
        return self._auth.get_token()["api_url"]

    def __call__(self, request):
        sent = _set(request, self._auth.get_token_for(request.url, request.headers.get("Host")))
        if request.body is None or isinstance(request.body, (bytes, str)):  # a stream cannot be sent twice
            request.register_hook("response", lambda r, **kwargs: self._again(r, sent, **kwargs))
        return request

    def _again(self, response, sent, **kwargs):
        # After a redirect to another host requests has removed the header: do not add it again.
        if response.status_code != 401 or response.request.headers.get("Authorization") != sent:
            return response
        again = response.request.copy()
        if _set(again, self._auth.refresh()) == sent:
            return response  # there is no newer token, and the 401 is final
        response.content  # read to the end, so that the connection can be used again
        response.close()
        answer = response.connection.send(again, **kwargs)
        answer.history.append(response)
        answer.request = again
        return answer


def _set(request, token):
    request.headers["Authorization"] = "Bearer " + token
    return request.headers["Authorization"]
