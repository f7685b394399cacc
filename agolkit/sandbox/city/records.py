"""Hosted layers whose fields are the trap: dates without times, times without dates, offsets, 64 bits, subtypes."""

from __future__ import annotations

import random

from agolkit.sandbox.city.builder import Builder
from agolkit.sandbox.city.features import Json, coded, field, global_ids, layer, point, polygon, related, value_range
from agolkit.sandbox.city.hosted import attachments, hosted_item

_CLASSES = {1: "Repair", 2: "Inspection", 3: "New build"}


def add_records(city: Builder) -> None:
    """Add the work orders, and the reports of which an editor sees only those of their own."""
    _add_work_orders(city)
    _add_reports(city)


def _add_work_orders(city: Builder) -> None:
    """Layer ids with gaps, an empty layer, an empty table, every newer type of field, subtypes, contingent values."""

    def order(chance: random.Random, nth: int) -> tuple[Json, Json]:
        hour, minute = chance.randrange(24), chance.randrange(60)
        day = f"20{chance.randint(20, 26)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        offset = chance.choice(("-05:00", "-06:00", "+00:00", "+05:45"))
        is_open = nth % 7 == 0
        return {
            "Class": 1 + nth % 3,
            "Trade": chance.choice(trades["codedValues"])["code"],
            "Due": None if is_open else day,
            "Opens": None if is_open else f"{hour:02}:{minute:02}:00",
            "Reported": None if is_open else f"{day}T{hour:02}:{minute:02}:30{offset}",
            "Serial": (2**53 + nth) * (-1 if nth % 2 else 1),
            "Cost": round(chance.uniform(0, 5000), 2),
        }, point(chance)

    def area(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"Area": f"A{nth}"}, polygon(chance)

    def task(chance: random.Random, nth: int) -> tuple[Json, None]:
        return {"OrderID": chance.choice(global_ids(orders)), "Begins": f"{nth % 24:02}:30:00", "Step": nth}, None

    trades = coded("Trades", "Plumber", "Mason", "Electrician")
    cost = value_range("Euros", 0, 5000)
    columns = [
        field("Class", "Integer"),
        field("Trade", domain=trades, length=20),
        field("Due", "DateOnly"),
        field("Opens", "TimeOnly"),
        field("Reported", "TimestampOffset"),
        field("Serial", "BigInteger"),
        field("Cost", "Double", domain=cost),
    ]
    subtypes = [
        {
            "code": code,
            "name": name,
            "defaultValues": {"Cost": 100.0 * code},
            "domains": {"Trade": trades, "Cost": cost},
        }
        for code, name in _CLASSES.items()
    ]
    types = [
        {"id": code, "name": name, "domains": {"Trade": {"type": "inherited"}}, "templates": []}
        for code, name in _CLASSES.items()
    ]
    definition: Json = {"typeIdField": "Class", "types": types, "subtypeField": "Class", "subtypes": subtypes}
    definition["defaultSubtypeCode"] = 1
    orders = layer(2, "Work Orders", columns, 90, order, geometry="Point", definition=definition)
    orders.field_groups = [
        {
            "name": "Who does what",
            "restrictive": True,
            "fields": [{"id": at, "name": name} for at, name in enumerate(("Class", "Trade"))],
            "contingentValuesDefinition": {
                "contingentValues": [
                    {"id": code, "types": [3, 3], "values": [code, trades["codedValues"][code - 1]["code"]]}
                    for code in _CLASSES
                ]
            },
        }
    ]
    areas = layer(5, "Work Areas", [field("Area", length=8)], 0, area, geometry="Polygon")
    columns = [field("OrderID", "GUID", "Order"), field("Begins", "TimeOnly"), field("Step", "BigInteger")]
    tasks = layer(9, "Tasks", columns, 120, task)
    related(orders, tasks, key="OrderID", name="Orders_Tasks")
    parts = layer(12, "Spare Parts", columns[1:], 0, task)
    name = city.service("Work_Orders", "work orders", layers=[orders, areas], tables=[tasks, parts])
    hosted_item(city, "work orders", "Transport_GIS", "Work Orders", name, folder="Transport")


def _add_reports(city: Builder) -> None:
    """Editors see their own reports only; the owner and administrators see all."""

    def report(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"What": chance.choice(("Pothole", "Lamp", "Graffiti")), "Text": f"Report {nth}"}, point(chance)

    columns = [field("What", length=20), field("Text", length=1000)]
    access = {"allowOthersToQuery": False, "allowOthersToUpdate": False, "allowOthersToDelete": False}
    definition = {"ownershipBasedAccessControlForFeatures": access}
    reports = layer(0, "Reports", columns, 64, report, geometry="Point", tracked=True, definition=definition)
    reports.attachments = attachments(reports, 9)
    name = city.service("Citizen_Reports", "reports", layers=[reports])
    hosted_item(city, "reports", "planning.team", "Citizen Reports", name, access="org")
