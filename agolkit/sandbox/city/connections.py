"""Connections to databases, cloud stores and servers: documents that hold what nobody else may read."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import NO_DATA, PARSED, WITHOUT_SECRETS, Builder
from agolkit.sandbox.city.features import Json

SECRETS = ("Tr0ub4dor&3", "00022e68b1ad", "AKIAPRACTICE0000KEY", "notebook-server-token-4711")
"""Everything secret that these documents hold. It opens nothing; no backup may hold it."""


def add_connections(city: Builder) -> None:
    """Add connections with secrets in keys, in connection strings and in texts, and one without any."""
    password, encrypted, key, token = SECRETS
    database = f"SERVER=db.example.org;INSTANCE=sde:postgresql;USER=sde;ENCRYPTED_PASSWORD={encrypted}"
    cloud = {"accountName": "springfield", "accountKey": key, "defaultEndpointsProtocol": "https"}
    rows: tuple[tuple[str, str, str, Json], ...] = (
        (
            "database store",
            "Data Store",
            "Enterprise geodatabase",
            {"type": "egdb", "info": {"dataStoreConnectionType": "shared", "connectionString": database}},
        ),
        ("cloud store", "Data Store", "Cloud store of imagery", {"type": "cloudStore", "info": {"azStorage": cloud}}),
        (
            "warehouse",
            "Relational Database Connection",
            "Permits warehouse",
            {"host": "warehouse.example.org", "port": 5432, "user": "reader", "password": password},
        ),
        (
            "kernel",
            "Kernel Gateway Connection",
            "Python for Insights",
            {"url": f"https://reader:{password}@kernel.example.org:9999/?token={token}"},
        ),
    )
    for name, kind, title, document in rows:
        city.item(name, "city_admin", kind, title, WITHOUT_SECRETS, data=payloads.as_json(document))
    folder = {"type": "folder", "path": "/fileShares/aerial", "info": {"path": "\\\\nas.example.org\\aerial"}}
    city.item(
        "folder store", "city_admin", "Data Store", "File share of pictures", PARSED, data=payloads.as_json(folder)
    )
    city.item(
        "server app",
        "Transport_GIS",
        "Application",
        "Nightly import (sign-in)",
        NO_DATA,
        properties={"appType": "server"},
        keywords=("Registered App",),
    )
