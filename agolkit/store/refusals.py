"""What the errors of an object store mean for a store of ours, in words for people."""

from __future__ import annotations

import errno
import re
from types import TracebackType

from agolkit.errors import AgolkitError, Archived, MayNotRemove, StoreError, StoreFull

_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>|\(code: ([A-Za-z0-9]+)\)")
_STATUS = re.compile(r"status code: (\d{3})")

_DENIED = ("AccessDenied", "Forbidden", "AllAccessDisabled", "403")
_SIGN_IN = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
    "401",
)
_NO_KEYS = (
    *("ProfileNotFound", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
    *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
)
"""Errors of the chain of AWS, before any server is asked."""
_FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507")

_IN_TROUBLE = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")

_ADVICE = {
    "NoSuchBucket": "There is no such bucket. agolkit makes none: make it first, as docs/s3.md says.",
    "RequestTimeTooSkewed": "The clock of this computer is wrong. Set it right.",
    "PermanentRedirect": "The server sends us elsewhere. Set AWS_REGION, or write its address with https.",
    "AuthorizationHeaderMalformed": "The bucket is in another region. Set AWS_REGION.",
    "SlowDown": "The server asks to slow down, for minutes. Try again later.",
    "KMS.DisabledException": "The key that encrypts it is disabled.",
}


class Unsettled(StoreError):
    """No answer came, or the server was in trouble: nobody knows whether it was done."""


class refusals:  # noqa: N801  it is used like a function
    """For a `with` block: an error of the object store's libraries becomes one of ours, and its text is told nobody: a
    server may repeat there what it was sent, with the session's token.

    What is an answer is raised as such: `FileNotFoundError`, and in a `conditional` block that the condition does not
    hold.
    """

    def __init__(self, location: str, key: str = "", *, conditional: bool = False) -> None:
        self._location = location
        self._key = key
        self._conditional = conditional

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, AgolkitError) and _is_theirs(error):
            code = code_of(error)
            is_answer = _operation(error) not in ("PUT", "POST")  # to these it means that an upload was ended
            if isinstance(error, FileNotFoundError) and code != "NoSuchBucket" and is_answer:
                raise FileNotFoundError(errno.ENOENT, "it is not there", self._key) from None
            if self._conditional and type(error).__name__ in ("AlreadyExistsError", "PreconditionError"):
                return
            raise in_words(error, self._location, self._key) from None


def in_words(error: Exception, location: str, key: str = "") -> StoreError:
    """The error to raise for what happened to a store in a bucket, or to a key of it."""
    code = code_of(error)
    if code in ("InvalidObjectState", "ObjectNotInActiveTierError"):
        way = "in the console of the bucket" if key.startswith("zips/") else "with `agolkit thaw`"
        return Archived(
            f"{key or 'A file'} in {location} lies in the archive and cannot be read now. Ask it back {way}, wait "
            "until it is there, and try again."
        )
    if code in _DENIED:
        which = f"{location}/{key}" if key else location
        if _is_removal(error):
            return MayNotRemove(
                f"These credentials may not delete in the store {location}. That is enough for backups; use others to "
                "remove anything."
            )
        advice = f"These credentials may not do this with {which} ({_operation(error)}). `agolkit bucket-policy` prints"
        return StoreError(f"The store {location} cannot be used: {advice} the rights that each task needs.")
    if code in _SIGN_IN:
        advice = f"The server refused the credentials ({code}). Renew them, or check AWS_ACCESS_KEY_ID and AWS_PROFILE."
    elif type(error).__name__ in _NO_KEYS:
        code = type(error).__name__
        advice = f"There are no credentials to use ({code}). Check AWS_PROFILE, and sign in again where it needs that."
    elif code in _FULL:
        return StoreFull(f"The store {location} is full. What is saved stays readable; make room and run again.")
    elif code in _ADVICE:
        advice = _ADVICE[code]
    elif code:
        advice = f"The server answered {code}" + (f" about {key}." if key else ".")
    else:
        advice = "The server cannot be reached, or does not answer. Is the address right, and the network there?"
    is_settled = code and code not in _IN_TROUBLE and not re.fullmatch(r"5\d\d", code)
    return (StoreError if is_settled else Unsettled)(f"The store {location} cannot be used: {advice}")


def code_of(error: Exception) -> str:
    """The server's own word for an error, or its HTTP status; empty where no answer came."""
    if isinstance(error, RecursionError):  # boto3 follows where it is sent, without end
        return "PermanentRedirect"
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        code = str(answer.get("Error", {}).get("Code", ""))
        return "NoSuchBucket" if code == "404" and _operation(error) == "HeadBucket" else code
    text = str(error)
    if found := _CODE.search(text):
        return found[1] or found[2]
    status = _STATUS.search(text)
    return status[1] if status else ""


def _is_theirs(error: Exception) -> bool:
    if isinstance(error, OSError):  # obstore says in this way what goes wrong while it writes; a disk gives a number
        return error.errno is None
    libraries = ("obstore", "botocore", "boto3", "s3transfer")
    return isinstance(error, RecursionError) or type(error).__module__.split(".")[0] in libraries


def _operation(error: Exception) -> str:
    named = getattr(error, "operation_name", "")
    asked = re.search(r"Error performing ([A-Z]+) |(DeleteObjects) request failed", str(error))
    return str(named) or (asked and (asked[1] or asked[2])) or "request"


def _is_removal(error: Exception) -> bool:
    return _operation(error) in ("DELETE", "DeleteObject", "DeleteObjects")
