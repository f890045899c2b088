"""ID tokens for the KYC API from kyc-agentd, with the standard library only.

CognitoAuth has the methods of the class of that name in the API's guide, so a
script that follows the guide only has to change one import. The difference is
inside: the agent does the sign-in and the refreshes, and no password or refresh
token stays in this process.

    from kyc_auth import CognitoAuth

    auth = CognitoAuth("staging")
    headers = auth.get_authorization_header()   # {"Authorization": "Bearer …"}

Nothing here prompts or waits for a person. If no token is available, every
method raises AgentError, so no request is sent without one.
"""

import http.client
import json
import os
import socket
from urllib.parse import urlencode, urlsplit

TOKEN_TIMEOUT = 8  # seconds; the agent answers from memory, or refreshes at Cognito
LOGIN_TIMEOUT = 120  # a person may have to unlock the keyring


class AgentError(Exception):
    """Why there is no token, and what to do. `code` is the agent's error code:
    "login_required", "unavailable", ...; "no_agent" if no agent answers."""

    def __init__(self, code, detail):
        super().__init__(detail)
        self.code = code


class CognitoAuth:
    """A signed-in user of one environment of the KYC API."""

    def __init__(self, environment=None, socket_path=None):
        """environment: "staging" or "prod"; else $KYC_ENV, else the agent's default."""
        self.environment = environment or os.environ.get("KYC_ENV", "")
        self.socket_path = socket_path or default_socket()

    def login(self, username, password, answer=None):
        """Signs in, once; the agent keeps the sign-in. `kyc-agentd login` does the same
        at a terminal. answer(challenge) returns {input name: value} when Cognito asks
        for more than the password, as challenge["inputs"] lists it."""
        reply = self._call("POST", "/v1/login", {
            "environment": self.environment, "username": username, "password": password})
        while reply["state"] == "challenge":
            path = "/v1/login/" + reply["id"]
            try:
                answers = (answer or _refuse)(reply["challenge"])
            except BaseException:
                self._call("DELETE", path)  # cancels this sign-in; an earlier one stays
                raise
            reply = self._call("POST", path, {"answers": answers})

    def get_token(self, min_valid=0):
        """The agent's whole answer, all strings: token, token_type, expires_at, expires_in,
        environment, api_url. min_valid: for how many seconds the token must stay valid."""
        query = {"env": self.environment} if self.environment else {}
        if min_valid:
            query["min_valid"] = str(min_valid)
        return self._call("GET", "/v1/token?" + urlencode(query))

    def get_id_token(self):
        """A valid ID token. Ask again for every request: it costs a millisecond."""
        return self.get_token()["token"]

    def get_token_for(self, url, host=None):
        """The token for a request to url: AgentError unless that is at the environment's
        api_url. host is the request's Host header, if it differs from url's."""
        answer = self.get_token()
        for target in (url, "%s://%s" % (urlsplit(url).scheme, host) if host else url):
            if _origin(target) != _origin(answer["api_url"]):
                raise AgentError("denied", "%s is not at %s: no token for it" % (target, answer["api_url"]))
        return answer["token"]

    def refresh(self):
        """An ID token newer than the agent's current one, unless that is seconds old."""
        answer = self.get_token()
        if not answer["expires_in"]:  # an API key: it does not expire, and there is no newer one
            return answer["token"]
        left = int(answer["expires_in"])
        try:
            return self.get_token(left + 1)["token"]
        except AgentError as e:
            if e.code != "usage":
                raise
        return self.get_id_token()  # no token would stay valid longer than this one

    def get_authorization_header(self):
        """For urllib and similar libraries. With requests use kyc_requests.KycAuth instead:
        requests lets an entry in ~/.netrc replace this header and reports nothing. (With
        httpx: kyc_httpx.KycAuth.)"""
        return {"Authorization": "Bearer " + self.get_id_token()}

    def _call(self, method, path, body=None):
        conn = _UnixConnection(self.socket_path, LOGIN_TIMEOUT if body else TOKEN_TIMEOUT)
        headers = {"Accept": "application/json"}
        if body is not None:
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            conn.request(method, path, body, headers)
            response = conn.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as e:
            raise AgentError("no_agent", "no agent answers at %s (%s); run: systemctl --user start kyc-agentd.socket"
                             % (self.socket_path, e)) from None
        finally:
            conn.close()
        return _decode(status, text)


def _refuse(challenge):
    raise AgentError("login_required", "Cognito asks for more (%s); run: kyc-agentd login %s"
                     % (challenge["name"], challenge["environment"]))


def _origin(url):
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def default_socket():
    """The path of the agent's socket, even if no variable is set."""
    if os.environ.get("KYC_AGENT_SOCK"):
        return os.environ["KYC_AGENT_SOCK"]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(runtime):
        runtime = "/run/user/%d" % os.getuid()
    return os.path.join(runtime, "kyc-agentd", "agent.sock")


def _decode(status, text):
    try:
        reply = json.loads(text)
    except ValueError:
        raise AgentError("internal", "the agent's answer (status %d) is not JSON" % status) from None
    if status != 200:
        raise AgentError(reply.get("code", "internal"), _sentence(reply, status))
    return reply


def _sentence(problem, status):
    """One line of an RFC 9457 problem: "prod: not signed in; run: kyc-agentd login prod"."""
    line = problem.get("detail") or "the agent answered with status %d" % status
    if problem.get("environment"):
        line = problem["environment"] + ": " + line
    if problem.get("hint"):
        line += "; " + problem["hint"]
    return line


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("kyc-agent", timeout=timeout)  # the agent requires this Host
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
