"""Values that must not be shown, and values that are not there."""

from typing import Any, Dict, NoReturn


class Secret(str):
    """A token or a password: a str, but its repr hides it. Debuggers and logs of local
    variables show only the repr.

    Callers get a plain str, str(secret): requests takes no subclass of it for a header."""

    def __repr__(self) -> str:
        return "<hidden>"


class SecretBytes(bytes):
    """The same for a request's body."""

    def __repr__(self) -> str:
        return "<hidden>"


class HiddenTokens(Dict[str, Any]):
    """A dict whose repr hides the tokens in it. Given to requests for a header, by mistake,
    it is quoted in the error."""

    def __repr__(self) -> str:
        return repr({name: self._shown(name, value) for name, value in self.items()})

    @staticmethod
    def _shown(name: str, value: Any) -> Any:
        return Secret(value) if isinstance(value, str) and (name.endswith("token") or name == "Authorization") else value


class WithheldError(Exception):
    """A token was used that the agent does not hand out. It is no TypeError, because some
    callers replace the message of those (str.join) or try something else (requests)."""


class Withheld:
    """What stands in the place of a token that the agent does not hand out.

    It is no str, so that json, urllib, requests, httpx and boto3 refuse to send it, and it
    has none of a str's methods. Printed or formatted it says why. That text has a line
    break in it, which HTTP headers refuse."""

    def __init__(self, what: str, why: str):
        self._what, self._why = what, why

    def __repr__(self) -> str:
        return "<%s withheld: %s>" % (self._what, self._why)

    def __str__(self) -> str:
        return "<%s withheld:\n%s>" % (self._what, self._why)

    def __format__(self, spec: str) -> str:
        return str(self)

    def __copy__(self) -> "Withheld":
        return self

    def __deepcopy__(self, memo: Any) -> "Withheld":
        return self

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise WithheldError("the %s is withheld: %s" % (self._what, self._why))

    # Python looks these up in the class, and not by __getattr__.
    __add__ = __radd__ = __mul__ = __mod__ = __rmod__ = __bytes__ = __contains__ = _refuse
    __getitem__ = __iter__ = __len__ = __int__ = __fspath__ = __reduce_ex__ = _refuse

    def __bool__(self) -> bool:
        return True  # without it Python would ask __len__

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError("the %s is withheld: %s" % (self._what, self._why))


class RefreshTokenWithheld(Withheld):
    """In the place of the refresh token, which never leaves the agent."""

    def __init__(self) -> None:
        super().__init__("refresh token", "kyc-agentd keeps it and refreshes by itself; call refresh() or get_id_token()")


class AccessTokenWithheld(Withheld):
    """In the place of the access token, where the agent does not hand it out."""

    def __init__(self, why: str):
        super().__init__("access token", why)
