"""KycAuth: the KYC API with httpx.

    with httpx.Client(auth=KycAuth("staging"), timeout=30) as client:
        client.post(client.auth.api_url + "/kyc", json={...})

The same object serves httpx.AsyncClient. An entry in ~/.netrc for the same host, which
httpx takes where it is told nothing, does not come in.
"""

import anyio.to_thread  # httpx has it
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
        # After a redirect to another host httpx has taken the header off: leave that so.
        if response.status_code != 401 or response.request.headers.get("Authorization") != sent:
            return
        if not isinstance(request.stream, httpx.ByteStream):  # a stream cannot be sent twice
            return
        if _set(request, self._auth.refresh()) != sent:  # else there is no newer one: the 401 stands
            yield request

    async def async_auth_flow(self, request):
        # The agent's answer is waited for in a thread, so that other tasks go on.
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
