"""The practice portal speaks the service's language: the unmodified `arcgis` client works with it as a user would.

Nothing here goes through the toolkit. What the client gets is compared with the organization that the portal serves.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyogrio
import pytest
from practice_town import CREW, FILE, FILE_BYTES, MAP, PASSWORDS, PRIVATE, STORY, TREE_COUNT, TREES, VIEW, WATER, town

from agolkit.sandbox import Sandbox

pytestmark = pytest.mark.filterwarnings("ignore")  # older clients warn of themselves while they are imported


@pytest.fixture(scope="module", params=["online", "enterprise"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    org = town(request.param)
    for item in org.items.values():
        # The client keeps the sharing of an item for the next item that looks the same, on whatever portal.
        item.modified += len(request.param)
    with Sandbox(org) as opened:
        yield opened


@pytest.fixture
def trusted(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The portal, with its certificate trusted as people do it: two environment variables."""
    monkeypatch.setenv("SSL_CERT_FILE", str(sandbox.ca_bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.ca_bundle))
    return sandbox


def sign_in(sandbox: Sandbox, *who: str, **more: Any) -> Any:
    """Return a `GIS`; with a name, signed in by name and password."""
    gis = importlib.import_module("arcgis.gis").GIS
    return gis(sandbox.url, *who, *(PASSWORDS[name] for name in who), set_active=False, **more)


@pytest.fixture
def ann(trusted: Sandbox) -> Any:
    return sign_in(trusted, "ann")


@pytest.fixture
def chief(trusted: Sandbox) -> Any:
    return sign_in(trusted, "chief")


def test_sign_in_with_name_and_password(sandbox: Sandbox, ann: Any) -> None:
    """The client plays the browser, and is who it says; it recognizes the mode of the portal."""
    assert ann.users.me.username == "ann"
    assert ann.users.me.fullName == "Ann Marsh"
    assert ann.properties.name == "Town"
    assert ann._is_arcgisonline == (sandbox.org.mode == "online")
    assert ann.version > [2024, 1]


def test_wrong_password_is_refused_in_words(trusted: Sandbox) -> None:
    """A wrong password raises, with the portal's own words."""
    gis = importlib.import_module("arcgis.gis").GIS
    with pytest.raises(Exception, match="Invalid username or password"):
        gis(trusted.url, "bob", "guess", set_active=False)


def test_other_ways_to_sign_in(trusted: Sandbox) -> None:
    """A token, an application's secret, the older way of getting tokens, and nobody at all."""
    assert sign_in(trusted, token=trusted.new_token("bob")).users.me.username == "bob"
    assert sign_in(trusted, "bob", use_gen_token=True).users.me.username == "bob"
    app = sign_in(trusted, client_id=trusted.client_id, client_secret=trusted.client_secret)
    assert app.users.me is None
    assert app.content.get(PRIVATE).title == "Bob's own"
    nobody = sign_in(trusted)
    assert nobody.users.me is None
    assert [item.id for item in nobody.content.search("")] == [FILE]


def test_bundle_can_be_named_in_the_call(sandbox: Sandbox) -> None:
    """`ca_bundles=` is enough to trust the portal, without environment variables."""
    assert sign_in(sandbox, "ann", ca_bundles=str(sandbox.ca_bundle)).users.me.username == "ann"


def test_search(ann: Any) -> None:
    """Queries find what they should, counted and paged."""
    assert {item.id for item in ann.content.search("", max_items=100)} == {MAP, STORY, FILE, TREES, VIEW}
    assert [item.id for item in ann.content.search('type:"Web Map" AND title:water')] == [MAP]
    found = ann.content.advanced_search("owner:ann", max_items=-1, sort_field="created")
    assert [item.id for item in found["results"]] == [MAP, STORY, TREES, VIEW]
    assert ann.content.advanced_search("owner:ann", return_count=True) == 4


def test_folders(ann: Any) -> None:
    """The folders of a user, and what is in them."""
    contents = [{item.id for item in folder.list()} for folder in ann.content.folders.list("ann")]
    assert contents == [{STORY, TREES, VIEW}, {MAP}]
    assert ann.content.get(MAP).ownerFolder == WATER


def test_parts_of_an_item(ann: Any) -> None:
    """Data, metadata, thumbnail, resources, sharing, relations."""
    item = ann.content.get(MAP)
    assert item.get_data() == {"operationalLayers": [], "version": "2.34"}
    assert Path(item.metadata).read_bytes() == b"<metadata><title>Water mains</title></metadata>"
    assert item.get_thumbnail() == b"\x89PNG thumbnail"
    assert item.sharing.sharing_level.name == "ORG"
    assert [other.id for other in item.related_items("Map2Service")] == [TREES]
    assert [other.id for other in ann.content.get(TREES).related_items("Map2Service", "reverse")] == [MAP]
    story = ann.content.get(STORY)
    assert [one["resource"] for one in story.resources.list()] == ["draft_1.json", "images/a b#1.png"]
    assert story.resources.get("draft_1.json") == {"draft": 1}
    with pytest.deprecated_call():  # what replaces it asks, in older clients, for an address that is not documented
        assert [group.id for group in story.shared_with["groups"]] == [CREW]


def test_private_item_is_not_there(ann: Any, chief: Any) -> None:
    """What a user may not see is `None`; the administrator sees it."""
    assert ann.content.get(PRIVATE) is None
    assert chief.content.get(PRIVATE).owner == "bob"


def test_download_of_a_file(ann: Any, tmp_path: Path) -> None:
    """The file arrives whole, redirected or not."""
    path = ann.content.get(FILE).download(str(tmp_path))
    assert Path(path) == tmp_path / "parcels.zip"
    assert Path(path).read_bytes() == FILE_BYTES


def test_layers_and_queries(sandbox: Sandbox, ann: Any) -> None:
    """Layers and tables are found; a query gets all rows although they take several pages."""
    item = ann.content.get(TREES)
    assert [layer.properties.name for layer in item.layers] == ["Trees", "Lots / 2024"]
    assert [table.properties.name for table in item.tables] == ["Visits"]
    truth = sandbox.org.services["Trees"].layers[0].features
    rows = item.layers[0].query(return_z=True).features
    assert len(rows) == TREE_COUNT > item.layers[0].properties.maxRecordCount
    assert sorted(row.attributes["OBJECTID"] for row in rows) == [one["attributes"]["OBJECTID"] for one in truth]
    ordered = item.layers[0].query(where="kind = 'beech'", order_by_fields="OBJECTID DESC").features
    assert [row.attributes["OBJECTID"] for row in ordered] == list(range(4995, 0, -6))
    assert item.layers[0].query(where="kind = 'oak'", return_count_only=True) == 834
    assert item.layers[0].query(where="OBJECTID < 6", return_ids_only=True)["objectIds"] == [1, 3, 5]
    assert ann.content.get(VIEW).layers[0].query(return_count_only=True) == 834
    assert item.layers[0].manager.properties.adminLayerInfo.tableName


def test_rows_as_a_data_frame(ann: Any) -> None:
    """A query answers a DataFrame with a row for each feature."""
    frame = ann.content.get(TREES).layers[0].query(as_df=True)
    assert len(frame) == TREE_COUNT
    assert set(frame["kind"]) == {"oak", "beech", "O'Neil's elm"}


def test_attachments(ann: Any, tmp_path: Path) -> None:
    """Attachments are found over the whole layer or for one row, and downloaded."""
    attachments = ann.content.get(TREES).layers[0].attachments
    assert sorted(one["ID"] for one in attachments.search()) == [1, 2, 3, 4]
    assert [one["name"] for one in attachments.get_list(oid=1)] == ["oak.jpg", "ärger & mehr.txt"]
    paths = attachments.download(oid=3, attachment_id=4, save_path=str(tmp_path))
    assert [Path(path).read_bytes() for path in paths] == [bytes(range(256))]


@pytest.mark.parametrize("who", ["ann", "chief"])
def test_export_download_delete(trusted: Sandbox, tmp_path: Path, who: str) -> None:
    """Owner and administrator export a service to a file geodatabase, download it, and delete it for good."""
    gis = sign_in(trusted, who)
    before = set(trusted.org.items)
    trusted.org.recycle_bin.clear()
    made = gis.content.get(TREES).export("Trees copy", "File Geodatabase", tags="copy")
    assert (made.owner, made.type, made.tags) == ("ann", "File Geodatabase", ["copy"])
    assert made.status(job_type="export")["status"] == "completed"
    path = Path(made.download(str(tmp_path))).rename(tmp_path / "copy.gdb.zip")
    assert pyogrio.read_info(path, layer="Trees")["features"] == TREE_COUNT
    assert pyogrio.read_info(path, layer="Trees__ATTACH")["features"] == 4
    assert made.delete(permanent=True)
    assert set(trusted.org.items) == before
    assert not trusted.org.recycle_bin


def test_deleted_item_lies_in_the_recycle_bin(sandbox: Sandbox, ann: Any) -> None:
    """A plain deletion goes to the bin, where the client finds it, and can restore it."""
    made = ann.content.get(VIEW).export("Oaks copy", "CSV")
    assert made.delete()
    assert ann.content.get(made.id) is None
    binned = {one.properties["id"]: one for one in ann.users.me.recyclebin.content}
    assert list(binned) == [made.id]
    assert binned[made.id].restore(None).id == made.id
    assert ann.content.delete_items([made.id], permanent=True)
    assert made.id not in sandbox.org.items


def test_groups_and_users(chief: Any, ann: Any) -> None:
    """Members, roles, groups, and what is shared with a group."""
    assert [user.username for user in chief.users.search()] == ["chief", "ann", "bob", "eve"]
    assert {user.username for user in chief.users.org_search()} == {"chief", "ann", "bob", "eve"}
    assert chief.users.get("bob").roleId == "9aBcDeFgHiJkLmNo"
    assert [group.title for group in chief.groups.search("title:crew")] == ["Field crew"]
    crew = ann.groups.get(CREW)
    assert crew.get_members() == {"owner": "ann", "admins": ["ann"], "users": ["bob"]}
    assert [item.id for item in crew.content()] == [STORY]


def test_client_leaves_no_unsigned_request_for_content(trusted: Sandbox) -> None:
    """The log shows that a signed-in client signs what it asks of content and services."""
    trusted.log.clear()
    gis = sign_in(trusted, "ann")
    gis.content.get(TREES).layers[0].query(where="OBJECTID < 6")
    assert len(trusted.log.entries) > 10
    assert trusted.log.unsigned_content() == []
    assert trusted.log.writes() == []


def test_expired_token_is_answered_as_the_service_does(trusted: Sandbox) -> None:
    """When the tokens are revoked, the client ends with an error about tokens."""
    gis = sign_in(trusted, token=trusted.new_token("ann"))
    trusted.revoke_tokens()
    with pytest.raises(Exception, match=r"(?i)token"):
        gis.content.get(MAP)
