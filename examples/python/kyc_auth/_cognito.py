"""The class and the functions of the API's guide."""

import os
import re
import shlex
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional
from urllib.parse import urlencode, urlsplit

from ._agent import Agent, AgentError, default_socket
from ._errors import cognito_code, with_message
from ._secret import AccessTokenWithheld, HiddenTokens, RefreshTokenWithheld, Secret

if TYPE_CHECKING:
    from ._clienterror import Exceptions

STAGING_CONFIG = {
    "region": "us-east-2", "user_pool_id": "us-east-2_oGu06xbPS", "client_id": "2raj3isqgeivk0m4b94858hice",
}
PROD_CONFIG = {
    "region": "us-east-2", "user_pool_id": "us-east-2_L37NAaTbI", "client_id": "17motn53rgao4bk26ojguv0ldu",
}

# What safe_authenticate says.
_MESSAGES = {
    "NotAuthorizedException": "Invalid username or password",
    "UserNotFoundException": "User not found",
    "UserNotConfirmedException": "User account not confirmed. Please verify your email.",
    "PasswordResetRequiredException": "Password reset required",
    "TooManyRequestsException": "Too many requests. Please try again later.",
}

Answer = Callable[[Dict[str, Any]], Dict[str, str]]


class Client(Agent):
    """The agent, in the place of the guide's boto3 client. Of that it has `exceptions`."""

    @property
    def exceptions(self) -> "Exceptions":
        from ._clienterror import Exceptions

        return Exceptions()


class CognitoAuth:
    """A user of one environment of the KYC API.

    `config` has the pool's ids, `tokens` the result of login() (None before it), and
    `token_expiry` the end of its ID token in Unix seconds. `user` is the one whose tokens
    this object gets: the one that login() named, or nobody in particular."""

    STAGING = STAGING_CONFIG
    PROD = PROD_CONFIG

    def __init__(self, environment: Optional[str] = "staging", socket_path: Optional[str] = None, *,
                 user: Optional[str] = None):
        """environment: "staging", "prod" or another one of the agent's. None: $KYC_ENV, else
        the agent's default."""
        self.environment = environment or os.environ.get("KYC_ENV", "")
        self.config: Dict[str, str] = {"staging": self.STAGING, "prod": self.PROD}.get(self.environment, {})
        self.client = Client(socket_path or default_socket())
        self.user = user
        self.tokens: Optional[Dict[str, Any]] = None
        self.token_expiry: Optional[float] = None

    def __repr__(self) -> str:
        return "<CognitoAuth environment=%r user=%r>" % (self.environment, self.user)

    def login(self, username: str, password: str, answer: Optional[Answer] = None) -> Dict[str, Any]:
        """Signs in and returns `tokens`. The agent keeps the sign-in; `kyc-agentd login`
        does the same at a terminal. answer(challenge) returns {input name: value} when
        Cognito asks for more than the password, as challenge["inputs"] lists it."""
        password = _hidden(password)
        try:
            return self._login(username, password, answer)
        except AgentError as e:
            error = e
        raise _failed(error)

    def _login(self, username: str, password: Secret, answer: Optional[Answer]) -> Dict[str, Any]:
        reply = self.client.call("POST", "/v1/login", {
            "environment": self.environment, "username": username, "password": password})
        while reply["state"] == "challenge":
            path = "/v1/login/" + reply["id"]
            try:
                answers = {name: _hidden(v) for name, v in (answer or _refuse)(reply["challenge"]).items()}
            except BaseException:
                self.client.call("DELETE", path)  # cancels this sign-in; an earlier one stays
                raise
            reply = self.client.call("POST", path, {"answers": answers})
        self.user = username
        return self._keep(self._ask())

    def _keep(self, answer: Dict[str, Any]) -> Dict[str, Any]:
        self.tokens = HiddenTokens(
            id_token=str(answer["token"]), access_token=self._access_token(), refresh_token=RefreshTokenWithheld())
        self._expires(answer)
        return self.tokens

    def _expires(self, answer: Dict[str, Any]) -> None:
        # An API key does not expire.
        self.token_expiry = time.time() + float(answer["expires_in"] or "inf")

    def _access_token(self) -> Any:
        try:
            return str(self._ask(type="access")["token"])
        except AgentError as e:
            if e.code not in ("denied", "usage"):
                return AccessTokenWithheld("there is none now: %s" % e)
        # Denied, or an older agent, to which it is a wrong request.
        return AccessTokenWithheld("kyc-agentd hands it out where config.toml has hand_out_access_tokens = true in [environments.%s]"
                                   % (self.environment or "NAME"))

    def get_token(self, min_valid: int = 0) -> Dict[str, str]:
        """The agent's whole answer, all strings: token, token_type, expires_at, expires_in,
        environment, api_url, and with newer agents user and sub. min_valid: for how many
        seconds the token must stay valid."""
        answer = self._ask(min_valid)
        return HiddenTokens(answer, token=str(answer["token"]))

    def _ask(self, min_valid: int = 0, **query: str) -> Dict[str, Any]:
        """get_token(), with the token as a Secret."""
        if min_valid:
            query["min_valid"] = str(min_valid)
        if self.environment:
            query["env"] = self.environment
        if self.user is None:
            return self.client.call("GET", "/v1/token?" + urlencode(query))
        try:
            return self.client.call("GET", "/v1/token?" + urlencode({**query, "user": self.user}))
        except AgentError as e:
            if not re.match(r'unknown query parameter "?user\b', e.detail):
                raise
        # An older agent cannot compare the user itself. It is asked after the token, so that
        # another sign-in before the token is noticed.
        answer = self.client.call("GET", "/v1/token?" + urlencode(query))
        self._check_user(answer["environment"])
        return answer

    def _check_user(self, environment: str) -> None:
        for e in self.client.call("GET", "/v1/status")["environments"]:
            if e["name"] == environment and e.get("user", "") == self.user:
                return
        raise AgentError("denied", "%s: the sign-in is another user's, not that of %s; run: kyc-agentd login %s -u %s"
                         % (environment, self.user, environment, shlex.quote(self.user or "")))

    def get_id_token(self) -> Optional[str]:
        """A valid ID token; None if nobody is signed in. Ask again for every request: it
        costs a millisecond, and the agent refreshes when less than 5 minutes are left."""
        try:
            answer = self._ask()
        except AgentError as e:
            if self.tokens is None and e.code == "login_required":
                return None
            if self.tokens is None:
                raise
            error = e
        else:
            if self.tokens is not None:
                self.tokens["id_token"] = str(answer["token"])
                self._expires(answer)
            return str(answer["token"])
        raise with_message(error, "Token refresh failed: %s" % error)

    def token_for(self, url: str, host: Optional[str] = None) -> Secret:
        """The token for a request to url: AgentError unless that is at the environment's
        api_url. host is the request's Host header, if it differs from url's."""
        answer = self._ask()
        for target in (url, "%s://%s" % (urlsplit(url).scheme, host) if host else url):
            if _origin(target) != _origin(answer["api_url"]):
                raise AgentError("denied", "%s is not at %s: no token for it" % (target, answer["api_url"]))
        return answer["token"]

    def refresh(self) -> Dict[str, Any]:
        """`tokens` with an ID token newer than the agent's current one, unless that is
        seconds old."""
        try:
            return self._keep(self._newer())
        except AgentError as e:
            error = e
        if self.tokens is None and error.code == "login_required":
            raise with_message(error, "No refresh token available")
        raise with_message(error, "Token refresh failed: %s" % error)

    def newer_token(self) -> Secret:
        """An ID token newer than the agent's current one, unless that is seconds old."""
        return self._newer()["token"]

    def _newer(self) -> Dict[str, Any]:
        answer = self._ask()
        if not answer["expires_in"]:  # an API key: it does not expire, and there is no newer one
            return answer
        try:
            return self._ask(int(answer["expires_in"]) + 1)
        except AgentError as e:
            if e.code != "usage":
                raise
        return self._ask()  # no token would stay valid longer than this one

    def get_authorization_header(self) -> str:
        """"Bearer …", for the header Authorization. With requests use kyc_auth.requests
        instead: requests lets an entry in ~/.netrc replace this header and reports
        nothing."""
        token = self.get_id_token()
        if token is None:
            raise AgentError("login_required", "Not authenticated. Call login() first.")
        return "Bearer " + token

    def headers(self) -> Dict[str, str]:
        """{"Authorization": "Bearer …"}. If nobody is signed in, the error says what to type."""
        return HiddenTokens(Authorization="Bearer " + self._ask()["token"])


def authenticate_user(username: str, password: str, environment: str = "staging") -> Dict[str, Any]:
    """Signs in: {"id_token", "access_token", "refresh_token", "expires_in"}."""
    password = _hidden(password)
    auth = CognitoAuth(environment)
    tokens = auth.login(username, password)
    return HiddenTokens(tokens, expires_in=round((auth.token_expiry or 0) - time.time()))


def safe_authenticate(username: str, password: str, environment: str = "staging") -> CognitoAuth:
    """A CognitoAuth that is signed in, or an exception with a message for a person."""
    password = _hidden(password)
    auth = CognitoAuth(environment)
    try:
        auth._login(username, password, None)
        return auth
    except AgentError as e:
        error = e
    code = cognito_code(error)
    if not code:
        raise with_message(error, "Unexpected error: %s" % error)
    raise with_message(error, _MESSAGES.get(code, "Authentication error: " + code))


def _failed(error: AgentError) -> AgentError:
    """What login() raises."""
    code = cognito_code(error)
    if code == "NotAuthorizedException":
        return with_message(error, "Invalid username or password")
    if code:  # botocore's words, which programs search for the code
        return with_message(error, "Authentication failed: An error occurred (%s) when calling the InitiateAuth operation: %s"
                            % (code, error))
    return with_message(error, "Authentication failed: %s" % error)


def _hidden(value: str) -> Secret:
    if not isinstance(value, str):
        raise TypeError("a password or an answer is a %s, not a str" % type(value).__name__)
    return Secret(value)


# The challenges by which the agent offers to repair an account, as the errors that they
# are to a program that answers none: the guide's words, and the command.
_REPAIRS = {
    "CONFIRM_SIGN_UP": ("User account not confirmed. Please verify your email.", "%s: %s Run: kyc-agentd confirm %s"),
    "PASSWORD_RESET_REQUIRED": ("Password reset required", "%s: %s; run: kyc-agentd password reset %s"),
}


def _refuse(challenge: Dict[str, Any]) -> Dict[str, str]:
    environment = challenge["environment"]
    if challenge["name"] in _REPAIRS:
        detail, line = _REPAIRS[challenge["name"]]
        raise AgentError("login_required", line % (environment, detail, environment), detail)
    raise AgentError("login_required", "Cognito asks for more (%s); run: kyc-agentd login %s"
                     % (challenge["name"], environment))


def _origin(url: str) -> Any:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port
