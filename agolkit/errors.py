"""Every error agolkit raises, in one tree.

```
AgolkitError                       exit 1
├── UsageError                     exit 2    wrong options, parameters, types, folders
├── SignInError                    exit 2    sign-in refused
│   └── SecondFactorNeeded         exit 2    a person is needed: second factor, browser, new password
├── PortalError                    exit 1    the portal answered, and the answer is an error
│   ├── NotFound                             does not exist, or this account may not see it
│   ├── Forbidden                            exists, and this account may not do this
│   ├── TokenRejected                        498/499: expired, revoked or missing token
│   ├── RateLimited                transient 429
│   │   └── Throttled              exit 5    429 to every request, for many minutes
│   ├── ServerTrouble              transient 5xx, time-outs said by the server, "try again"
│   ├── NotAnAnswer                transient an HTML page, an empty or cut-off answer, a wrong length
│   └── JobFailed                  transient a job on the server ended badly or never ended
├── ConnectionTrouble              transient refused, reset, timed out
│   └── Unreachable                exit 5    the portal cannot be reached at all
├── StoreError                     exit 6    the store is unusable
│   ├── StoreFull                  exit 6
│   ├── StoreDamaged               exit 4    verify found damage
│   ├── StoreBusy                  exit 11   another run holds the lock
│   ├── Archived                   exit 6    a blob lies in the archive tier and must be thawed first
│   ├── MayNotRemove               exit 6    these credentials may not delete
│   └── NoSuchBackup               exit 10   no such store, backup or item
├── CheckFailed                    what was saved is not what the portal holds
├── TooLarge                       more bytes than an option or the scratch disk allows
├── NotDelivered                   a notification was refused
└── Stopped                        exit 130  ended by the user
```

`transient` and `exit_code` are facts of the class. A message says what happened, to what, and what an
administrator can do; it never holds a token, a password or a row's value.
"""

from __future__ import annotations


class AgolkitError(Exception):
    """Root of the tree: catch this to catch everything agolkit raises on purpose."""

    transient = False
    exit_code = 1


class UsageError(AgolkitError):
    """An option, a parameter or an argument is wrong; nothing has been started. Trying again does not help."""

    exit_code = 2


class SignInError(AgolkitError):
    """The portal refused the sign-in. Do not repeat it: accounts are locked after a few wrong passwords."""

    exit_code = 2


class SecondFactorNeeded(SignInError):
    """The account needs a person (second factor, browser, new password); agolkit never waits on stdin for one."""


class PortalError(AgolkitError):
    """The portal answered with an error; `code` is the server's own, `words` its message."""

    def __init__(
        self, message: str, *, code: int | None = None, words: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.words = words
        self.retry_after = retry_after
        """Seconds that the server asked to wait, where it said so."""


class NotFound(PortalError):
    """Does not exist or is not visible to this account: the portal does not tell which. Final."""


class Forbidden(PortalError):
    """It exists, but this account may not do this. Final."""


class TokenRejected(PortalError):
    """The token is expired, revoked or missing (498, 499). The session renews it once; then it is final."""


class RateLimited(PortalError):
    """429: too many requests. Trying again after `retry_after` seconds helps."""

    transient = True


class Throttled(RateLimited):
    """429 to every request through many minutes of waiting. It ends the run; trying again later may help."""

    transient = False
    exit_code = 5


class ServerTrouble(PortalError):
    """5xx, or the same said inside HTTP 200. Trying again usually helps."""

    transient = True


class NotAnAnswer(PortalError):
    """An HTML page, an empty, cut-off or unparsable answer where content was expected. Trying again may help."""

    transient = True


class JobFailed(PortalError):
    """A job on the server failed, or did not end within its time. Trying again may help."""

    transient = True


class ConnectionTrouble(AgolkitError):
    """No complete answer: refused, reset, timed out. Trying again may help."""

    transient = True


class Unreachable(ConnectionTrouble):
    """The portal cannot be reached at all: wrong address, no network, or a certificate that is not trusted."""

    transient = False
    exit_code = 5


class StoreError(AgolkitError):
    """The store cannot be used: not a store, another organization's, read-only, unreadable."""

    exit_code = 6


class StoreFull(StoreError):
    """No space left; everything saved so far stays readable."""


class StoreDamaged(StoreError):
    """Something in the store is missing or is not what it was."""

    exit_code = 4


class StoreBusy(StoreError):
    """Another run holds the store; wait until it has ended."""

    exit_code = 11


class Archived(StoreError):
    """A blob lies in an archive class of storage. Trying again helps some hours after `agolkit thaw` asked it back."""


class MayNotRemove(StoreError):
    """These credentials may write to the store, and not delete. Other credentials help."""


class NoSuchBackup(StoreError):
    """There is no such store, backup or item."""

    exit_code = 10


class CheckFailed(AgolkitError):
    """What was saved is not what the portal holds; it is not kept as verified. Trying again may help."""

    transient = True


class TooLarge(AgolkitError):
    """More bytes than an option or the scratch disk allows. Trying again helps when one of them was changed."""


class NotDelivered(AgolkitError):
    """A mail server, a webhook or a monitoring service refused a notification. Trying again does not help."""


class Stopped(AgolkitError):
    """The user ended the run."""

    exit_code = 130
