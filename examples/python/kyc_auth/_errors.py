"""What Cognito answered, found in what the agent says."""

import re
from typing import Optional

from ._agent import AgentError

# The agent names Cognito's code in an error where it knows no better words. These are its
# words for the other codes.
_CODES = (
    ("Invalid username or password", "NotAuthorizedException"),
    ("User not found", "UserNotFoundException"),
    ("User account not confirmed. Please verify your email.", "UserNotConfirmedException"),
    ("Password reset required", "PasswordResetRequiredException"),
    ("Too many requests. Please try again later.", "TooManyRequestsException"),
    ("the limit of attempts for this user is reached", "LimitExceededException"),
    ("too many failed attempts", "TooManyFailedAttemptsException"),
    ("does not know the app client", "ResourceNotFoundException"),
    ("does not allow the auth_flow", "InvalidParameterException"),
    ("blocked by a firewall", "ForbiddenException"),
    ("Lambda trigger of the user pool refused it", "UserLambdaValidationException"),
)


def cognito_code(error: AgentError) -> Optional[str]:
    """Cognito's code for what the agent reports, or None if Cognito did not refuse."""
    for words, code in _CODES:
        if words in error.detail:
            return code
    named = re.search(r"\b[A-Z][A-Za-z]+Exception\b", error.detail)
    return named and named.group()


def with_message(error: AgentError, message: str) -> AgentError:
    """error with another message, for the caller to raise."""
    code = cognito_code(error)
    if code:
        from ._clienterror import named

        return named(code)(error, code, message)
    return AgentError(error.code, message, error.detail, error.retry_after)
