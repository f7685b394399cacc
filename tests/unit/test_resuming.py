"""Which interrupted backup a run takes up."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agolkit.options import BackupOptions
from agolkit.resume import may_be_resumed
from agolkit.store.version import agolkit_version

STARTED = datetime(2026, 11, 23, 2, tzinfo=UTC)
OPTIONS = BackupOptions()
FACTS: dict[str, Any] = {
    "state": "unfinished",
    "started": "2026-11-23T02:00:00Z",
    "agolkit": agolkit_version(),
    "options": asdict(OPTIONS),
}


@pytest.mark.parametrize(
    ("facts", "hours", "expected"),
    [
        ({}, 1, True),
        ({"state": "stopped"}, 1, True),
        ({"state": "complete"}, 1, False),
        ({}, 23.99, True),
        ({}, 24, False),
        ({}, -0.1, True),  # the clock of the other computer was fast
        ({"agolkit": "0.0.1"}, 1, False),
        ({"options": {}}, 1, False),
    ],
)
def test_state_age_and_version_decide(facts: dict[str, Any], hours: float, expected: bool) -> None:
    """Taken up is what is not complete, younger than 24 hours, and of this version with known options."""
    assert may_be_resumed(FACTS | facts, OPTIONS, STARTED + timedelta(hours=hours)) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"feature_format": "both"}, False),
        ({"export_max_bytes": 5}, False),
        ({"attachments": False}, False),
        ({"views": "rows"}, False),
        ({"max_tile_bytes": 5}, False),
        ({"folders": ["Water"], "exclude_tags": []}, True),
        ({"workers": 1, "tree": "none", "label": "again", "accept": {"PDF": "known"}}, True),
    ],
)
def test_options_that_decide_what_is_saved_must_be_equal(change: dict[str, Any], expected: bool) -> None:
    """Parts saved in another form are no parts of this backup; which items, how fast and where shown may differ."""
    assert may_be_resumed(FACTS, replace(OPTIONS, **change), STARTED) is expected
