"""What the practice portal holds: users, groups, folders, items and hosted services, in memory.

This is the truth that tests compare a backup with. It knows nothing of HTTP; the routes turn it into answers.
Times are epoch milliseconds, as the Sharing REST API has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from agolkit.sandbox.tile_cache import Tiles

Access = Literal["private", "shared", "org", "public"]
Mode = Literal["online", "enterprise"]


class Payload(Protocol):
    """Bytes of an item's data; large ones are made on the fly, so a 1 GB file needs no memory."""

    @property
    def size(self) -> int: ...

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `start` on, in pieces of at most 1 MiB."""


@dataclass(frozen=True)
class Bytes:
    """A payload held in memory."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        for at in range(start, len(self.content), 1 << 20):
            yield self.content[at : at + (1 << 20)]


@dataclass(frozen=True)
class Repeated:
    """A payload of any size: `block` over and over, cut at `size`."""

    block: bytes
    size: int

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        # Two blocks' worth at least, so that a piece from any offset inside the block can be 1 MiB long.
        run = self.block * ((1 << 20) // len(self.block) + 2)
        for at in range(start, self.size, 1 << 20):
            offset = at % len(self.block)
            yield run[offset : offset + min(1 << 20, self.size - at)]


@dataclass
class User:
    username: str
    full_name: str
    password: str
    role: Literal["org_admin", "org_publisher", "org_user"] = "org_user"
    role_id: str | None = None
    privileges: tuple[str, ...] = ()
    email: str = ""
    created: int = 0
    last_login: int = -1
    user_type: str = "creatorUT"
    disabled: bool = False
    id: str = ""
    mfa: bool = False


@dataclass
class Role:
    """A role that is not built in."""

    id: str
    name: str
    description: str = ""
    privileges: tuple[str, ...] = ()
    created: int = 0
    modified: int = 0


@dataclass
class Folder:
    id: str
    title: str
    owner: str
    created: int = 0


@dataclass
class Group:
    id: str
    title: str
    owner: str
    admins: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    access: Access = "org"
    tags: list[str] = field(default_factory=list)
    snippet: str = ""
    description: str = ""
    created: int = 0
    modified: int = 0
    capabilities: list[str] = field(default_factory=list)
    thumbnail: tuple[str, bytes] | None = None
    """(file name below `info/`, bytes)."""


@dataclass(frozen=True)
class Expectation:
    """What a correct backup says of an item: the columns `result` and how far its check reaches."""

    result: str
    check: str | None = None
    why: str = ""


@dataclass
class Item:
    moves: ClassVar[int] = 0
    """Goes up with every owner or folder that is set on any item; an index made before is out of date."""

    id: str
    owner: str
    type: str
    title: str
    folder: str | None = None
    """Id of the owner's folder; `None` is the root."""
    created: int = 0
    modified: int = 0
    name: str | None = None
    """File name of the payload, as `item.name`; may be null."""
    tags: list[str] = field(default_factory=list)
    type_keywords: list[str] = field(default_factory=list)
    snippet: str | None = None
    description: str | None = None
    url: str | None = None
    """Absolute for foreign services; of a hosted service it is made from the service at answer time."""
    access: Access = "private"
    groups: list[str] = field(default_factory=list)
    data: Payload | None = None
    """`None`: the portal has no data for this item; `Bytes(b"")`: zero bytes."""
    data_type: str = "application/json"
    thumbnail: tuple[str, bytes] | None = None
    """(file name below `thumbnail/`, bytes)."""
    metadata: bytes | None = None
    resources: dict[str, bytes] = field(default_factory=dict)
    """Resource path (may hold slashes, blanks, `#`) to bytes."""
    info: dict[str, bytes] = field(default_factory=dict)
    """Other files below `info/`, such as `form.json`."""
    relations: list[tuple[str, str]] = field(default_factory=list)
    """Forward relations: (relationship type, destination item id)."""
    categories: list[str] = field(default_factory=list)
    screenshots: list[str] = field(default_factory=list)
    """Pictures below `info/`, by their path there."""
    properties: Mapping[str, Any] | None = None
    extent: list[list[float]] = field(default_factory=list)
    spatial_reference: str | None = None
    protected: bool = False
    service: str | None = None
    """Name of the hosted service that this item stands for."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the item's JSON that the portal answers as they are here, such as a size that is wrong."""
    expected: Expectation | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("owner", "folder"):
            Item.moves += 1
        super().__setattr__(name, value)


@dataclass
class Attachment:
    id: int
    name: str
    content_type: str
    payload: Payload
    global_id: str
    keywords: str = ""


@dataclass(frozen=True)
class Join:
    """What a joined view's layer has from a second layer: of each row the first one there whose key is the same."""

    service: str
    layer: int
    parent_key: str
    """Field of the layer's own source."""
    key: str
    """Field of the second layer."""
    fields: Mapping[str, str]
    """Name in the view to name in the second layer."""
    type: Literal["INNER", "LEFT"] = "LEFT"
    """Whether rows without a partner are left out, or have nulls."""


@dataclass
class Layer:
    """One layer or table of a hosted service. A feature is Esri JSON: `{"attributes": {...}, "geometry": {...}}`."""

    id: int
    name: str
    fields: list[dict[str, Any]]
    features: Sequence[dict[str, Any]]
    geometry_type: str | None = None
    """`esriGeometryPoint`, …; `None` makes it a table."""
    object_id_field: str = "OBJECTID"
    global_id_field: str | None = "GlobalID"
    has_z: bool = False
    has_m: bool = False
    wkid: int = 4326
    max_record_count: int = 2000
    attachments: dict[int, list[Attachment]] | None = None
    """Object id to its attachments; `None`: the layer has no attachments at all."""
    relationships: list[dict[str, Any]] = field(default_factory=list)
    field_groups: list[dict[str, Any]] = field(default_factory=list)
    """The contingent values: which values of some fields go together."""
    definition: dict[str, Any] = field(default_factory=dict)
    """Further keys of the layer's JSON (drawingInfo, templates, types, editFieldsInfo …)."""
    last_edit: int = 0
    schema_last_edit: int = 0
    extent: dict[str, Any] | None = None
    """`None`: it is worked out from the rows."""
    sub_layers: tuple[int, ...] | None = None
    """Of a group layer: the ids of its layers. It has no rows."""
    source: tuple[str, int] | None = None
    """Of a view's layer: name of the source service and id of the layer there; `None`: the layer with the same id in
    the service that the view is of."""
    join: Join | None = None
    """Of a joined view's layer."""
    view_where: str | None = None
    """Of a view's layer: its definition query."""
    hidden_fields: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """What the service calls it."""
        if self.sub_layers is not None:
            return "Group Layer"
        return "Feature Layer" if self.geometry_type else "Table"


@dataclass(frozen=True)
class Change:
    """One edit of a row or an attachment, as change tracking knows it."""

    layer: int
    what: Literal["features", "attachments"]
    how: Literal["add", "update", "delete"]
    object_id: int
    """Of the row; of an attachment, the one that it hangs on."""
    global_id: str
    attachment: int = 0


@dataclass
class Service:
    """A hosted feature service (or a view of others, which shares the features of its sources)."""

    name: str
    item_id: str
    layers: list[Layer] = field(default_factory=list)
    tables: list[Layer] = field(default_factory=list)
    capabilities: str = "Create,Delete,Query,Update,Editing,Extract"
    server_type: str = "FeatureServer"
    view_of: str | None = None
    """Name of the source service; the first, where there are several."""
    description: str = ""
    tiles: Tiles | None = None
    """Of a hosted tile, vector tile or image service; `None`: it has none."""
    changes: list[Change] = field(default_factory=list)
    """What was edited, the oldest first; each edit is a generation of its own."""
    oldest_generation: int = 594_109
    """The generation before the first of `changes`: what is older is forgotten."""

    @property
    def generation(self) -> int:
        return self.oldest_generation + len(self.changes)

    def all(self) -> list[Layer]:
        return [*self.layers, *self.tables]


@dataclass
class Organization:
    id: str
    name: str
    url_key: str
    mode: Mode = "online"
    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    recycle_bin: dict[str, Item] = field(default_factory=dict)
    recycle_bin_enabled: bool = True
    roles: dict[str, Role] = field(default_factory=dict)
    category_schema: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    """Further keys of `portals/self`, or other values for those it has."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further keys of `portals/self/settings`."""
    admin: str = ""
    """User name of the administrator whose sign-in is shown to people."""
    _index: tuple[tuple[int, int, int], dict[tuple[str, str | None], list[Item]]] | None = field(
        default=None, repr=False, compare=False
    )

    def add(self, *things: User | Role | Group | Folder | Item | Service) -> None:
        """Put users, roles, groups, folders, items and services in their places."""
        for thing in things:
            match thing:
                case User():
                    self.users[thing.username] = thing
                case Role():
                    self.roles[thing.id] = thing
                case Group():
                    self.groups[thing.id] = thing
                case Folder():
                    self.folders[thing.id] = thing
                case Item():
                    self.items[thing.id] = thing
                case Service():
                    self.services[thing.name] = thing

    def items_of(self, owner: str, folder: str | None) -> list[Item]:
        """Return the items in one folder of an owner (`None`: the root), in the order in which they were added."""
        return self._places().get((owner, folder), [])

    def items_owned(self, owner: str) -> list[Item]:
        """Return all items of an owner."""
        return [item for place, items in self._places().items() if place[0] == owner for item in items]

    def _places(self) -> dict[tuple[str, str | None], list[Item]]:
        state = (id(self.items), len(self.items), Item.moves)
        if self._index is None or self._index[0] != state:
            index: dict[tuple[str, str | None], list[Item]] = {}
            for item in self.items.values():
                index.setdefault((item.owner, item.folder), []).append(item)
            self._index = (state, index)
        return self._index[1]

    def folders_of(self, owner: str) -> Iterable[Folder]:
        return [folder for folder in self.folders.values() if folder.owner == owner]
