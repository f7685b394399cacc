"""What an account can and cannot back up, read from its privileges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agolkit.portal.client import Portal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that matters for backups: whether this account can do it, and what it lacks where it cannot."""

    ok: bool
    text: str
    missing: tuple[str, ...] = ()
    """Privileges that would help, as the portal's role settings call them in the REST API."""

    def __str__(self) -> str:
        lacks = f" Missing: {', '.join(self.missing)}." if self.missing else ""
        return f"{'yes' if self.ok else 'no '}  {self.text}{lacks}"


# (privileges needed, what they allow, what happens without them)
_NEEDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("portal:admin:viewUsers", "portal:admin:viewItems"),
        "Sees the items of all users, private ones included.",
        "Sees and backs up only its own items.",
    ),
    (
        ("portal:admin:viewGroups",),
        "Sees all groups, so the sharing of every item is complete.",
        "Sees only the groups it may join; sharing with others is not recorded.",
    ),
    (
        ("portal:user:createItem",),
        "Can export its own hosted feature layers as File Geodatabase.",
        "Cannot export hosted feature layers: an export makes a temporary item, and this account may not make items.",
    ),
    (
        ("portal:admin:updateItems", "portal:admin:deleteItems"),
        "Can export other users' hosted feature layers, and delete the temporary export items again.",
        "Cannot export other users' hosted feature layers and clean up behind the export.",
    ),
)


def findings(portal: Portal) -> list[Finding]:
    """The findings for the signed-in account, in the order in which they matter."""
    found = []
    for needed, with_it, without in _NEEDS:
        missing = tuple(privilege for privilege in needed if privilege not in portal.privileges)
        found.append(Finding(not missing, without if missing else with_it, missing))
    return [*found, of_sign_in(portal)]


def of_sign_in(portal: Portal) -> Finding:
    """Whether the sign-in lasts as long as a run may take."""
    if portal.renewable:
        return Finding(True, "The sign-in is renewed by itself during long runs.")
    seconds = portal.token_seconds_left
    left = "nobody has said how long it is good" if seconds is None else f"it is good for {seconds / 60:,.0f} minutes"
    return Finding(
        False,
        f"The token cannot be renewed, and {left}: a run that outlives it is stopped then. Sign in with user name and "
        "password for long runs.",
    )
