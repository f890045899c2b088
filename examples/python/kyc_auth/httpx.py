"""KycAuth: the KYC API with httpx.

    with httpx.Client(auth=KycAuth("staging"), timeout=30) as client:
        client.post(client.auth.api_url + "/kyc", json={...})

The same object works with httpx.AsyncClient. httpx uses an entry in ~/.netrc for the same
host only if there is no auth=.
"""

import time
from typing import Any, AsyncGenerator, Generator, Optional

import anyio  # httpx requires anyio
import anyio.to_thread
import httpx

from ._environment import EnvironmentAuth
from ._retry import wait_after

# A flow yields requests, responses whose body is to be read, and numbers: the seconds to
# wait before the next step.
Flow = Generator[Any, Optional[httpx.Response], None]


class KycAuth(EnvironmentAuth, httpx.Auth):
    """Puts an ID token on requests to the environment's API and on no others.

    A 401 is answered once, with a newer token. A 429 is answered once, after the time that
    the API asks for, unless that is more than max_wait seconds (30; 0 never waits).

    environment may be a CognitoAuth; with its login() or user= the tokens are that user's."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        flow = self._flow(request)
        step = _next(flow, None)
        while step is not None:
            response = None
            if isinstance(step, httpx.Request):
                response = yield step
            elif isinstance(step, httpx.Response):
                step.read()
            else:
                time.sleep(step)
            step = _next(flow, response)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        # A thread waits for the agent's answer, so that other tasks can continue.
        flow = self._flow(request)
        step = await anyio.to_thread.run_sync(_next, flow, None)
        while step is not None:
            response = None
            if isinstance(step, httpx.Request):
                response = yield step
            elif isinstance(step, httpx.Response):
                await step.aread()
            else:
                await anyio.sleep(step)
            step = await anyio.to_thread.run_sync(_next, flow, response)

    def _flow(self, request: httpx.Request) -> Flow:
        sent = _set(request, self._token(request))
        response = yield request
        answered = set()
        while response.status_code in (401, 429) and response.status_code not in answered:
            answered.add(response.status_code)
            # After a redirect to another host httpx has removed the header: do not add it again.
            if response.request.headers.get("Authorization") != sent:
                return
            if not isinstance(request.stream, httpx.ByteStream):  # a stream cannot be sent twice
                return
            if response.status_code == 401:
                before, sent = sent, _set(request, self._auth.newer_token())
                if sent == before:
                    return  # there is no newer token, and the 401 is final
            else:
                yield response
                wait = wait_after(response.headers, self._max_wait, response.content)
                if wait is None:
                    return
                yield wait
                sent = _set(request, self._token(request))
            response = yield request

    def _token(self, request: httpx.Request) -> str:
        return self._auth.token_for(str(request.url), request.headers.get("Host"))


def _next(flow: Flow, response: Optional[httpx.Response]) -> Any:
    """The flow's next step, or None at its end."""
    try:
        return flow.send(response)
    except StopIteration:
        return None


def _set(request: httpx.Request, token: str) -> str:
    request.headers["Authorization"] = "Bearer " + token
    return request.headers["Authorization"]
