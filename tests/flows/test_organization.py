"""organization.json: what the portal is beside its items, as far as the account may read it, and without secrets."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import agolkit as ak
from agolkit.errors import Stopped
from agolkit.inventory import take_inventory
from agolkit.kinds.organization import save_organization
from agolkit.kinds.secrets import without_secrets
from agolkit.sandbox import Fault, Sandbox, city
from agolkit.sandbox.city.people import PASSWORD
from agolkit.sandbox.organization import Group, User

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "organization.json").read_text("utf-8"))
ONE_TYPE = ak.BackupOptions(types=["PDF"], attempts=2)
SECRET = "pLanTed-5ecret"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(city.springfield()) as sandbox:
        yield sandbox


def connect(sandbox: Sandbox, username: str | None = None) -> ak.Portal:
    return ak.connect(
        sandbox.url,
        username=username or sandbox.username,
        password=PASSWORD,
        ca_bundle=str(sandbox.ca_bundle),
        sleep=lambda _seconds: None,
    )


def saved(sandbox: Sandbox, folder: Path, username: str | None = None, options: ak.BackupOptions = ONE_TYPE) -> Any:
    """The organization.json of a complete backup; it fits its published schema, which names each of its fields."""
    store = ak.open_store(folder / "store")
    summary = ak.backup(connect(sandbox, username), store, options)
    assert (summary.state, summary.exit_code) == ("complete", 0)
    facts = json.loads(store.read(summary.backup, "organization.json"))
    assert "organization.json" in json.loads(store.read(summary.backup, "backup.json"))["files"]
    jsonschema.Draft202012Validator(SCHEMA).validate(facts)
    assert set(facts) == set(SCHEMA["properties"])
    for name in ("users", "groups", "roles", "folders"):
        for each in facts[name] or ():
            assert set(each) <= set(SCHEMA["properties"][name]["items"]["properties"]), name
    return facts


def members(group: Group) -> dict[str, Any]:
    admins = sorted(set(group.admins) - {group.owner})
    return {"owner": group.owner, "admins": admins, "users": sorted(group.members)}


def groups_of(sandbox: Sandbox, user: User) -> list[str]:
    groups = sandbox.org.groups.values()
    return sorted(each.id for each in groups if user.username in (each.owner, *each.admins, *each.members))


def test_an_administrators_file_is_the_organization(sandbox: Sandbox, tmp_path: Path) -> None:
    """Users, roles, groups with members, content and pictures, folders and categories are those that the portal has."""
    org = sandbox.org
    facts = saved(sandbox, tmp_path)
    assert (facts["missing"], facts["withheld"]) == ([], [])
    users = {user["username"]: user for user in facts["users"]}
    assert users.keys() == org.users.keys()
    for user in org.users.values():
        said = users[user.username]
        assert (said["fullName"], said["role"], said["roleId"]) == (
            user.full_name,
            user.role,
            user.role_id or user.role,
        )
        assert (said["created"], said["lastLogin"], said["disabled"]) == (user.created, user.last_login, user.disabled)
        assert (said["userLicenseTypeId"], said["email"]) == (user.user_type, user.email)
        assert sorted(said["groups"]) == groups_of(sandbox, user)
    roles = {role["id"]: (role["name"], role["privileges"]) for role in facts["roles"]}
    assert roles == {role.id: (role.name, list(role.privileges)) for role in org.roles.values()}
    groups = {group["id"]: group for group in facts["groups"]}
    assert groups.keys() == org.groups.keys()
    pictures = 0
    for group in org.groups.values():
        said = groups[group.id]
        settings = said["settings"]
        assert (settings["title"], settings["access"], settings["tags"]) == (group.title, group.access, group.tags)
        assert settings["capabilities"] == group.capabilities
        assert {key: sorted(value) if key != "owner" else value for key, value in said["members"].items()} == members(
            group
        )
        assert said["items"] == sorted(item.id for item in org.items.values() if group.id in item.groups)
        picture = said["thumbnail"] and (said["thumbnail"]["name"], base64.b64decode(said["thumbnail"]["base64"]))
        assert picture == group.thumbnail
        pictures += picture is not None
    assert pictures == 2
    assert {(each["id"], each["title"], each["owner"]) for each in facts["folders"]} == {
        (folder.id, folder.title, folder.owner) for folder in org.folders.values()
    }
    assert facts["categories"] == org.category_schema != []
    told = facts["organization"]
    assert (told["id"], told["name"], told["urlKey"]) == (org.id, org.name, org.url_key)
    assert told["storageQuota"] == 2199023255552
    assert "informationalBanner" in facts["settings"]


def test_an_ordinary_members_file_says_what_it_may_not_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """What the portal refuses or does not show is named in plain words; the rest is there."""
    org = sandbox.org
    facts = saved(sandbox, tmp_path, "p.waters", ak.BackupOptions(types=["Web Map"]))
    assert {folder["owner"] for folder in facts["folders"]} == {"p.waters"}
    assert all("lastLogin" not in user for user in facts["users"])
    assert {role["id"] for role in facts["roles"]} == set(org.roles)
    assert all(role["privileges"] is None for role in facts["roles"])
    mine = {group.id for group in org.groups.values() if "p.waters" in (group.owner, *group.members)}
    assert {group["id"] for group in facts["groups"] if group["members"]} == mine
    refused = [group for group in facts["groups"] if group["members"] is None]
    missing = "\n".join(facts["missing"])
    for group in refused:
        assert f"members of the group {group['settings']['title']!r} ({group['id']}): the portal says: " in missing
    for words in ("users: ", "groups: ", "content of groups: ", "folders: ", "privileges of the role 'Surveyor'"):
        assert any(sentence.startswith(words) for sentence in facts["missing"]), words
    assert len(facts["missing"]) == len(refused) + len(org.roles) + 4


def test_what_fails_is_said_and_the_backup_is_complete(sandbox: Sandbox, tmp_path: Path) -> None:
    """A dead address, a web page, nonsense and a lost picture cost nothing but themselves."""
    first, second = list(sandbox.org.groups)[:2]
    pictured = next(group for group in sandbox.org.groups.values() if group.thumbnail)
    sandbox.faults.add(Fault(path=r"portals/self/users$", skip=1, status=500))
    sandbox.faults.add(Fault(path=r"portals/self/categorySchema", body="<html><body>down</body></html>"))
    sandbox.faults.add(Fault(path=r"portals/self/settings", body={"error": {"code": 400, "message": "Invalid URL"}}))
    sandbox.faults.add(Fault(path=rf"groups/{first}/userList", body={"users": [{"name": "x"}], "nextStart": -1}))
    sandbox.faults.add(Fault(path=rf"content/groups/{second}$", cut_after=20))
    sandbox.faults.add(Fault(path=rf"groups/{pictured.id}/info/", status=404))
    facts = saved(sandbox, tmp_path)
    assert (facts["users"], facts["categories"], facts["settings"]) == (None, None, None)
    groups = {group["id"]: group for group in facts["groups"]}
    assert (groups[first]["members"], groups[second]["items"], groups[pictured.id]["thumbnail"]) == (None, None, None)
    assert facts["roles"]
    said = [sentence.split(" ")[0] for sentence in facts["missing"]]
    assert sorted(said) == ["content", "content", "members", "the", "thumbnail", "users:"]
    assert "the settings of the organization: the portal says: Invalid URL (400)" in facts["missing"]


def test_no_secret_reaches_the_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """Tokens, keys and passwords, wherever the portal puts them, are left out, and it is said where they were."""
    sandbox.org.properties = {
        "bingKey": SECRET,
        "portalProperties": {"sharedTheme": {"logo": f"https://x.example/a.png?token={SECRET}&w=1"}, "apiKey": SECRET},
        "helperServices": {"geocode": [{"url": f"https://user:{SECRET}@geo.example/rest", "client_secret": SECRET}]},
        "rotatorPanels": [{"innerHTML": f"<img src='https://x.example/t.png?a=1&amp;access_token={SECRET}' alt='t'>"}],
    }
    sandbox.org.settings = {
        "portalConfigProperties": json.dumps({"apiKey": SECRET, "theme": "dark"}),
        "refreshToken": [SECRET],
        "samlPassword": {"value": SECRET},
    }
    planted = {"username": "eve", "securityQuestion": SECRET, "securityAnswer": SECRET, "surprise": SECRET}
    sandbox.faults.add(Fault(path=r"portals/self/users$", skip=1, body={"users": [planted], "nextStart": -1}))
    facts = saved(sandbox, tmp_path)
    text = json.dumps(facts)
    assert SECRET not in text
    assert PASSWORD not in text
    assert "userMembership" not in text
    assert not {"user", "appInfo"} & set(facts["organization"])
    assert facts["users"] == [{"username": "eve", "groups": []}]
    assert facts["organization"]["portalProperties"]["sharedTheme"]["logo"] == "https://x.example/a.png?token=…&w=1"
    assert facts["organization"]["helperServices"]["geocode"] == [{"url": "https://…@geo.example/rest"}]
    assert json.loads(facts["settings"]["portalConfigProperties"]) == {"theme": "dark"}
    assert sorted(facts["withheld"]) == [
        "organization.bingKey",
        "organization.helperServices.geocode[0].client_secret",
        "organization.helperServices.geocode[0].url",
        "organization.portalProperties.apiKey",
        "organization.portalProperties.sharedTheme.logo",
        "organization.rotatorPanels[0].innerHTML",
        "settings.portalConfigProperties.apiKey",
        "settings.refreshToken",
        "settings.samlPassword",
    ]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("apiKey", "x", False),
        ("API_KEY", "x", False),
        ("clientSecret", "x", False),
        ("smtpPassword", "x", False),
        ("accessTokens", ["x"], False),
        ("storedCredentials", {"user": "x"}, False),
        ("sasSignature", "x", False),
        ("bingKey", None, True),
        ("hasPassword", True, True),
        ("urlKey", "springfield", True),
        ("maxTokenExpirationMinutes", 120, True),
        ("typeKeywords", ["x"], True),
        ("availableCredits", 12.5, True),
    ],
)
def test_a_key_that_speaks_of_a_secret_is_left_out(name: str, value: object, kept: bool) -> None:
    """The name decides, at any depth; what is empty, a yes or no, or known to be harmless stays."""
    withheld: list[str] = []
    cleaned = without_secrets({"a": [{name: value}]}, "top", withheld)
    assert cleaned == {"a": [{name: value} if kept else {}]}
    assert withheld == ([] if kept else [f"top.a[0].{name}"])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"name": "password", "value": SECRET}, {"name": "password"}),
        ({"Name": "Pwd", "Value": SECRET}, {"Name": "Pwd"}),
        ({"name": "user", "value": "ann"}, {"name": "user", "value": "ann"}),
        ({"pass": SECRET, "sas": SECRET, "compass": "N"}, {"compass": "N"}),
        (f"Driver=x;UID=sa;PWD={SECRET};", "Driver=x;UID=sa;PWD=…"),
        (f"Server=x; Password = '{SECRET}'; Port=1", "Server=x; Password = '…'; Port=1"),
        (f"<login><password>{SECRET}</password></login>", "<login><password>…</password></login>"),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer …"),
        (json.dumps({"a": json.dumps({"password": SECRET, "b": 1})}), json.dumps({"a": json.dumps({"b": 1})})),
        (f"{{no JSON, password={SECRET}", "{no JSON, password=…"),
        ('{"a":  "spelt its own way"}', '{"a":  "spelt its own way"}'),
    ],
)
def test_secrets_in_pairs_and_in_texts_are_left_out(value: object, kept: object) -> None:
    """A pair of name and value, a connection string, XML, a header, JSON inside JSON; what has no secret stays."""
    withheld: list[str] = []
    assert without_secrets({"a": value}, "top", withheld) == {"a": kept}
    assert bool(withheld) is (value != kept)


def test_what_it_costs(open_sandbox: Callable[..., Sandbox]) -> None:
    """Four requests, the pages of the users, two for each group and one for each picture, several at once."""
    org = city.generated(items=400, owners=250, folders=20, groups=120, services=0)
    sandbox = open_sandbox(org, latency=0.01)
    portal = connect(sandbox)
    inventory, groups = take_inventory(portal, ak.BackupOptions()), portal.groups()
    sandbox.log.clear()
    facts = save_organization(portal, inventory, groups, ak.BackupOptions(workers=8), cancel=threading.Event())
    print(f"\n250 users, 120 groups: {len(sandbox.log.entries)} requests, {sandbox.log.most_in_flight} at once")
    assert len(facts["users"]) == 250
    assert {group["id"] for group in facts["groups"]} == set(org.groups)
    assert len(sandbox.log.entries) == 4 + 3 + 2 * 120
    assert 2 <= sandbox.log.most_in_flight <= 8
    assert sandbox.log.writes() == []


def test_a_stop_ends_it(sandbox: Sandbox) -> None:
    """Once the run is stopped nothing more is asked, and nothing is taken for an answer."""
    portal = connect(sandbox)
    inventory, groups = take_inventory(portal, ONE_TYPE), portal.groups()
    sandbox.log.clear()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Stopped):
        save_organization(portal, inventory, groups, ONE_TYPE, cancel=cancel)
    assert sandbox.log.entries == []
