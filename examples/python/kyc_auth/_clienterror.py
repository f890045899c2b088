"""Cognito's errors as a program that was written for boto3 catches them. Importing botocore
takes a tenth of a second, so this module is imported when the first one is needed."""

import functools
from typing import Any, Type

from ._agent import AgentError

try:
    from botocore.exceptions import ClientError
except Exception:  # not installed, or with something that it needs missing

    class ClientError(Exception):  # type: ignore[no-redef]
        """Has what programs use of botocore.exceptions.ClientError, which is not installed."""

        response: Any
        operation_name: str


class CognitoError(AgentError, ClientError):
    """An error that Cognito answered with. It is a botocore.exceptions.ClientError where
    botocore is installed, and error.response["Error"]["Code"] is Cognito's code."""

    def __init__(self, cause: AgentError, cognito_code: str, message: str):
        # ClientError's __init__, which would make a message of its own, is left out.
        AgentError.__init__(self, cause.code, message, cause.detail, cause.retry_after)
        self.response = {"Error": {"Code": cognito_code, "Message": cause.detail}, "ResponseMetadata": {}}
        self.operation_name = "InitiateAuth"


class Exceptions:
    """Cognito's errors by name, as `client.exceptions` of a boto3 client has them."""

    ClientError = ClientError

    def __getattr__(self, name: str) -> Type[CognitoError]:
        if not name.endswith("Exception"):
            raise AttributeError(name)
        return named(name)


@functools.lru_cache(maxsize=None)
def named(code: str) -> Type[CognitoError]:
    return type(code, (CognitoError,), {"__module__": __name__})
