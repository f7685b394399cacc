"""What GDAL's writer leaves out of a GeoPackage: domains, and that a layer holds true curves.

Source: the GeoPackage standard, tables `gpkg_data_columns`, `gpkg_data_column_constraints`, `gpkg_geometry_columns`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from agolkit.kinds.feature_service.conversion.tables import Table

_TABLES = """
CREATE TABLE IF NOT EXISTS gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT, mime_type TEXT,
  constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name));
CREATE TABLE IF NOT EXISTS gpkg_data_column_constraints (
  constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT, min NUMERIC, min_is_inclusive BOOLEAN,
  max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));
CREATE TABLE IF NOT EXISTS gpkg_extensions (
  table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL, scope TEXT NOT NULL,
  CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
"""
_SCHEMA = "http://www.geopackage.org/spec121/#extension_schema"
_CURVED = {"MULTILINESTRING": "MULTICURVE", "MULTIPOLYGON": "MULTISURFACE"}


def finish(path: Path, tables: Mapping[str, Table]) -> None:
    """Add the domains of all tables, and the right geometry type where there are curves."""
    with closing(sqlite3.connect(path)) as database, database:
        curved = [name for name, table in tables.items() if table.has_curves]
        if curved:
            _declare_curves(database, curved)
        found = [
            (name, column.name, column.domain)
            for name, table in tables.items()
            for column in table.columns
            if column.domain and column.domain.get("type") in ("codedValue", "range")
        ]
        if found:
            _add_domains(database, found)


def _declare_curves(database: sqlite3.Connection, names: list[str]) -> None:
    """Give tables the geometry type that holds curves, in the list of geometry columns and in their own definition."""
    database.execute("PRAGMA writable_schema = ON")  # the way sqlite.org names for changes that leave rows as they are
    for name in names:
        column, straight = database.execute(
            "SELECT column_name, geometry_type_name FROM gpkg_geometry_columns WHERE table_name = ?", (name,)
        ).fetchone()
        told = f'"{column}" {_CURVED.get(straight, straight)}'
        database.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?",
            (f'"{column}" {straight}', told, name),
        )
        database.execute(
            "UPDATE gpkg_geometry_columns SET geometry_type_name = ? WHERE table_name = ?",
            (_CURVED.get(straight, straight), name),
        )
    database.execute("PRAGMA writable_schema = OFF")


def _add_domains(database: sqlite3.Connection, found: list[tuple[str, str, Mapping[str, Any]]]) -> None:
    database.executescript(_TABLES)
    for of in ("gpkg_data_columns", "gpkg_data_column_constraints"):
        given = database.execute("SELECT 1 FROM gpkg_extensions WHERE table_name = ?", (of,)).fetchone()
        if not given:
            row = (of, None, "gpkg_schema", _SCHEMA, "read-write")
            database.execute("INSERT INTO gpkg_extensions VALUES (?, ?, ?, ?, ?)", row)
    for table, column, domain in found:
        name = f"{table}_{column}".lower()  # two layers may have different domains of one name
        database.execute(
            "INSERT INTO gpkg_data_columns (table_name, column_name, constraint_name) VALUES (?, ?, ?) "
            "ON CONFLICT (table_name, column_name) DO UPDATE SET constraint_name = excluded.constraint_name",
            (table, column, name),
        )
        rows: list[tuple[Any, ...]]
        if domain["type"] == "range":
            rows = [(name, "range", None, domain["range"][0], 1, domain["range"][1], 1, domain.get("name"))]
        else:
            meanings = {str(value["code"]): value["name"] for value in domain["codedValues"]}
            rows = [(name, "enum", code, None, None, None, None, meaning) for code, meaning in meanings.items()]
        database.executemany("INSERT INTO gpkg_data_column_constraints VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
