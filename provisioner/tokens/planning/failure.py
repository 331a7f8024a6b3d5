"""Why a token could not be had, with the fixed reasons that a RegistryToken's conditions show."""

from enum import StrEnum

from sutler.errors import SutlerError


class Reason(StrEnum):
    """Reasons of conditions. Alerts and scripts go by them: add, never rename."""

    # Of Ready and Refreshing, when all is well.
    REFRESHED = "Refreshed"
    SCHEDULED = "Scheduled"
    # The object itself.
    INVALID = "Invalid"
    IDENTITY_NOT_ALLOWED = "IdentityNotAllowed"
    # What the identity needs is missing in the cluster or the Pod.
    IDENTITY_MISSING = "IdentityMissing"
    # The cloud's answer.
    ACCESS_DENIED = "AccessDenied"
    THROTTLED = "Throttled"
    ENDPOINT_UNREACHABLE = "EndpointUnreachable"
    ENDPOINT_FAILED = "EndpointFailed"
    REDIRECTED = "Redirected"
    BAD_ANSWER = "BadAnswer"
    BAD_EXPIRY = "BadExpiry"
    PLUGIN_FAILED = "PluginFailed"
    # The Secret.
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason
    CONFLICT = "Conflict"
    API_SERVER_FAILED = "ApiServerFailed"
    CREDENTIAL_EXPIRED = "CredentialExpired"
    # A defect of Sutler's.
    INTERNAL_ERROR = "InternalError"


class TokenError(SutlerError):
    """No token this time. The text holds nothing of any answer but its status and its error code.

    `retry_after` is the endpoint's Retry-After in seconds, or None.
    """

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
