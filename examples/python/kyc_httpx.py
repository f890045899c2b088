"""KycAuth: the KYC API with httpx.

    with httpx.Client(auth=KycAuth("staging"), timeout=30) as client:
        client.post(client.auth.api_url + "/kyc", json={...})

The same object works with httpx.AsyncClient. httpx uses an entry in ~/.netrc for the same
host only if there is no auth=.
"""

import anyio.to_thread  # httpx requires anyio
import httpx

from kyc_auth import CognitoAuth


class KycAuth(httpx.Auth):
    """Puts an ID token on requests to the environment's API and on no others.
    A 401 is answered once, with a newer token."""

    def __init__(self, environment=None, socket_path=None):
        self._auth = CognitoAuth(environment, socket_path)

    @property
    def api_url(self):
        return self._auth.get_token()["api_url"]

    def auth_flow(self, request):
        sent = _set(request, self._auth.get_token_for(str(request.url), request.headers.get("Host")))
        response = yield request
        # After a redirect to another host httpx has removed the header: do not add it again.
        if response.status_code != 401 or response.request.headers.get("Authorization") != sent:
            return
        if not isinstance(request.stream, httpx.ByteStream):  # a stream cannot be sent twice
            return
        if _set(request, self._auth.refresh()) != sent:  # otherwise there is no newer token, and the 401 is final
            yield request

    async def async_auth_flow(self, request):
        # A thread waits for the agent's answer, so that other tasks can continue.
        flow = self.auth_flow(request)
        request = await anyio.to_thread.run_sync(_step, flow, None)
        while request is not None:
            response = yield request
            request = await anyio.to_thread.run_sync(_step, flow, response)


def _step(flow, response):
    try:
        return flow.send(response)
    except StopIteration:
        return None


def _set(request, token):
    request.headers["Authorization"] = "Bearer " + token
    return request.headers["Authorization"]
