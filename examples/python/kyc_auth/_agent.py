"""The agent's socket API."""

import http.client
import json
import os
import re
import socket
from typing import Any, Dict, Optional, Tuple

from ._secret import Secret, SecretBytes

TOKEN_TIMEOUT = 8  # seconds; the agent answers from memory, or refreshes at Cognito
LOGIN_TIMEOUT = 120  # a person may have to unlock the keyring


class AgentError(Exception):
    """Why there is no token, and what to do. `code` is the agent's error code:
    "login_required", "unavailable", ...; "no_agent" if no agent answers. `detail` is the
    cause alone, without the environment and the next command. `retry_after` is in how many
    seconds it makes sense to try again, or None."""

    def __init__(self, code: str, message: str, detail: str = "", retry_after: Optional[float] = None):
        Exception.__init__(self, message)  # not super(): see CognitoError
        self.code = code
        self.detail = detail or message
        self.retry_after = retry_after


class Agent:
    """Calls over the socket. Every error is raised outside of its except block: an
    exception that was handled stays attached (__context__), with all local variables of
    the frames that it passed."""

    def __init__(self, path: str):
        self.path = path

    def call(self, method: str, path: str, body: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """The answer to one call, or AgentError."""
        status, answer, trouble = self._exchange(method, path, body and SecretBytes(json.dumps(body).encode()))
        if trouble:
            raise AgentError("no_agent", "no agent answers at %s (%s); run: systemctl --user start kyc-agentd.socket"
                             % (self.path, trouble))
        return _decode(status, answer)

    def _exchange(self, method: str, path: str, body: Optional[SecretBytes]) -> Tuple[int, SecretBytes, str]:
        conn = _UnixConnection(self.path, LOGIN_TIMEOUT if body else TOKEN_TIMEOUT)
        headers = {"Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        try:
            conn.request(method, path, body, headers)
            response = conn.getresponse()
            return response.status, SecretBytes(response.read()), ""
        except (OSError, http.client.HTTPException) as e:
            return 0, SecretBytes(), str(e) or type(e).__name__
        finally:
            conn.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("kyc-agent", timeout=timeout)  # the agent requires this Host
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def default_socket() -> str:
    """The path of the agent's socket, even if no variable is set."""
    if os.environ.get("KYC_AGENT_SOCK"):
        return os.environ["KYC_AGENT_SOCK"]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(runtime):
        runtime = "/run/user/%d" % os.getuid()
    return os.path.join(runtime, "kyc-agentd", "agent.sock")


def _decode(status: int, answer: SecretBytes) -> Dict[str, Any]:
    reply = _object(answer)
    if reply is None:
        raise AgentError("internal", "the agent's answer (status %d) is not a JSON object" % status)
    if status != 200:
        raise _problem(status, reply)
    # A library that cannot send a header quotes it in its error.
    if not re.match(r"[!-~]+\Z", reply.get("token", "-")):
        raise AgentError("internal", "the agent's token cannot be sent in a header")
    return reply


def _object(answer: SecretBytes) -> Optional[Dict[str, Any]]:
    """The JSON object in answer, with its token hidden; None if there is none."""
    try:
        reply = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(reply, dict):
        return None
    if "token" in reply:
        reply["token"] = Secret(reply["token"])
    return reply


def _problem(status: int, problem: Dict[str, Any]) -> AgentError:
    """One line of an RFC 9457 problem: "prod: not signed in; run: kyc-agentd login prod"."""
    detail = problem.get("detail") or "the agent answered with status %d" % status
    line = detail
    if problem.get("environment"):
        line = problem["environment"] + ": " + line
    if problem.get("hint"):
        line += "; " + problem["hint"]
    return AgentError(problem.get("code", "internal"), line, detail, problem.get("retry_after"))
