"""What the portal is beside its items: people, roles, groups, folders, categories and settings, without secrets.

All of it is asked for at once, each thing by itself. What this account may not read, or what failed, is said in the
file and never ends a run: a backup without it is still a backup of all items.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from agolkit.engine import Finished, run_jobs
from agolkit.errors import AgolkitError, NoSuchBackup, Stopped, StoreDamaged
from agolkit.kinds.saving import in_words
from agolkit.kinds.secrets import without_secrets
from agolkit.model import Inventory, to_stamp
from agolkit.options import BackupOptions
from agolkit.portal import Portal
from agolkit.store import Spool, Store

log = logging.getLogger(__name__)

ORGANIZATION = "organization.json"
USER_FIELDS = (
    *("username", "id", "fullName", "firstName", "lastName", "email", "description", "thumbnail", "tags", "categories"),
    *("role", "roleId", "userLicenseTypeId", "level", "userType", "provider", "idpUsername", "mfaEnabled", "disabled"),
    *("access", "culture", "cultureFormat", "region", "units", "preferredView", "favGroupId", "orgId"),
    *("created", "modified", "lastLogin", "storageUsage", "storageQuota", "assignedCredits", "availableCredits"),
)
"""What is saved of a user. Anything else may be a secret, such as a security question, and is left out."""

_OF_THE_ACCOUNT = ("user", "appInfo", "userMembership")
"""What an answer says of the account that asks; it is not the organization's."""

# (privilege, what is not complete without it)
_NEEDS = (
    ("portal:admin:viewUsers", "users: role, user type, last login, e-mail and whether they are disabled"),
    ("portal:admin:viewGroups", "groups: those that are private, unless this account belongs to them"),
    ("portal:admin:viewItems", "content of groups: items that are not shared with this account"),
)


@dataclass(frozen=True, slots=True)
class _Question:
    """One thing to ask the portal for: what it is an answer to, in plain words, and the call."""

    key: tuple[str, str]
    words: str
    ask: Callable[[], Any]


def save_organization(
    portal: Portal,
    inventory: Inventory,
    groups: Sequence[Mapping[str, Any]],
    options: BackupOptions,
    *,
    before: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    cancel: threading.Event,
) -> dict[str, Any]:
    """The content of `organization.json`, ready for JSON; `docs/format.md` describes it.

    Folders and `groups` are those that the run has listed already. A part that could not be read is `None`, and
    `missing` says why. Of a group that is as it was in `before` (see `load_groups`), the picture is taken from there.

    Raises
    ------
    Stopped
        `cancel` was set.
    """
    missing = _kept_from(portal, options)
    questions = [
        *_about_the_portal(portal),
        *(each for group in groups for each in _about_group(portal, group, before)),
    ]
    answers = _answers(questions, options, cancel, missing)
    roles: list[dict[str, Any]] | None = answers.get(("roles", ""))
    unknown = [_about_role(portal, role) for role in roles or () if "privileges" not in role]
    privileges = _answers(unknown, options, cancel, missing)
    answers |= {
        ("thumbnail", each["id"]): before[each["id"]]["thumbnail"] for each in groups if _same_picture(each, before)
    }
    said = [_group(group, answers) for group in groups]
    told: dict[str, Any] = {
        "organization": _without_account(answers.get(("organization", ""))),
        "settings": answers.get(("settings", "")),
        "users": _users(answers.get(("users", "")), said),
        "roles": roles and [{"privileges": privileges.get(("privileges", role["id"])), **role} for role in roles],
        "groups": said,
        "folders": [{"owner": folder.owner, "id": folder.id, "title": folder.title} for folder in inventory.folders],
        "categories": answers.get(("categories", "")),
    }
    withheld: list[str] = []
    told = {name: without_secrets(value, name, withheld) for name, value in told.items()}
    return {"observed": to_stamp(datetime.now(UTC)), "missing": missing, "withheld": withheld, **told}


def load_groups(store: Store, backups: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the newest of these backups that was finished says of each group, by id; nothing where none does."""
    for name in reversed(backups):
        try:
            content = store.read(name, ORGANIZATION)
            if hashlib.sha256(content).hexdigest() == store.summary(name)["files"][ORGANIZATION]["sha256"]:
                return {group["id"]: group for group in json.loads(content)["groups"]}
        except (NoSuchBackup, StoreDamaged, ValueError, KeyError, TypeError):  # to tell is for `verify`
            continue
    return {}


def shared_items(organization: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Ids of the items that each group has, of the groups whose content could be read."""
    return {each["id"]: frozenset(each["items"]) for each in organization["groups"] if each["items"] is not None}


def organization_file(facts: Mapping[str, Any]) -> bytes:
    """JSON for people too: names as they are; half a surrogate pair, which is no UTF-8, stands in it as an escape."""
    return json.dumps(facts, ensure_ascii=False, indent=1).encode(errors="backslashreplace") + b"\n"


# -- what is asked


def _about_the_portal(portal: Portal) -> Iterator[_Question]:
    yield _Question(("organization", ""), "the description of the organization", portal.organization)
    yield _Question(("settings", ""), "the settings of the organization", portal.settings)
    yield _Question(("users", ""), "users", portal.users)
    yield _Question(("roles", ""), "roles", portal.roles)
    yield _Question(("categories", ""), "content categories", portal.category_schema)


def _about_group(
    portal: Portal, group: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]]
) -> Iterator[_Question]:
    group_id, thumbnail = str(group["id"]), group.get("thumbnail")
    name = f"of the group {group.get('title')!r} ({group_id})"
    yield _Question(("members", group_id), f"members {name}", partial(portal.group_members, group_id))
    yield _Question(("content", group_id), f"content {name}", partial(portal.group_content, group_id))
    if thumbnail and not _same_picture(group, before):
        yield _Question(("thumbnail", group_id), f"thumbnail {name}", partial(_picture, portal, group_id, thumbnail))


def _same_picture(group: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a group has a picture, and the one that was saved before."""
    then = before.get(group["id"]) or {}
    settings = then.get("settings") or {}
    same = all(group.get(name) == settings.get(name) for name in ("thumbnail", "modified"))
    return bool(group.get("thumbnail") and then.get("thumbnail")) and same


def _about_role(portal: Portal, role: Mapping[str, Any]) -> _Question:
    words = f"privileges of the role {role.get('name')!r} ({role['id']})"
    return _Question(("privileges", str(role["id"])), words, partial(portal.role_privileges, role["id"]))


def _picture(portal: Portal, group_id: str, name: str) -> dict[str, str]:
    with Spool() as spool:
        portal.download(f"community/groups/{group_id}/info/{quote(name, safe='')}", spool)
        return {"name": name, "base64": base64.b64encode(spool.read()).decode()}


def _answers(
    questions: Sequence[_Question], options: BackupOptions, cancel: threading.Event, missing: list[str]
) -> dict[tuple[str, str], Any]:
    """What was answered, by key; what was not is said in `missing`, in the order of the questions."""
    executor = ThreadPoolExecutor(options.workers, thread_name_prefix="organization")
    contexts = {question.key: copy_context() for question in questions}
    try:
        finished = {
            each.job.key: each
            for each in run_jobs(
                questions,
                lambda question: contexts[question.key].run(question.ask),
                executor=executor,
                limit=options.workers,
                idle_timeout=options.item_timeout,
                cancel=cancel,
            )
        }
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    in_order = [finished[question.key] for question in questions]
    missing += [f"{each.job.words}: {_reason(each)}" for each in in_order if each.error]
    return {each.job.key: each.value for each in in_order if not each.error}


def _reason(finished: Finished[_Question, Any]) -> str:
    """Why there is no answer, in plain words. A run that was stopped needs none."""
    error = finished.error
    if isinstance(error, Stopped):
        raise error
    if isinstance(error, AgolkitError):
        return in_words(error)
    log.error("Unexpected error at the %s", finished.job.words, exc_info=error)
    return f"agolkit itself failed ({type(error).__name__}: {error}); please report it."


# -- what is told


def _kept_from(portal: Portal, options: BackupOptions) -> list[str]:
    """What the portal does not show to this account, without saying so in any answer."""
    said = [
        f"{what}: shown only to accounts with the privilege {privilege}."
        for privilege, what in _NEEDS
        if privilege not in portal.privileges
    ]
    if not portal.can_see_all:
        said.append("folders: only this account's own; an administrator can list those of all users.")
    elif options.owners:
        said.append("folders: only those of the owners that the scope names.")
    return said


def _without_account(answer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {name: value for name, value in answer.items() if name not in _OF_THE_ACCOUNT}


def _group(group: Mapping[str, Any], answers: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    group_id = str(group["id"])
    items = answers.get(("content", group_id))
    return {
        "id": group_id,
        "settings": _without_account(group),
        "members": answers.get(("members", group_id)),
        "items": None if items is None else sorted(str(item["id"]) for item in items),
        "thumbnail": answers.get(("thumbnail", group_id)),
    }


def _users(
    users: Iterable[Mapping[str, Any]] | None, groups: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]] | None:
    """What is saved of each user, and the ids of the groups whose members name that user."""
    if users is None:
        return None
    belongs: dict[str, list[str]] = {}
    for group in groups:
        members = group["members"] or {"owner": group["settings"].get("owner"), "admins": [], "users": []}
        for name in {members["owner"], *members["admins"], *members["users"]}:
            belongs.setdefault(name, []).append(group["id"])
    return [
        {name: user[name] for name in USER_FIELDS if name in user} | {"groups": belongs.get(user["username"], [])}
        for user in users
    ]
