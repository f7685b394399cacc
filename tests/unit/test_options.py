"""`BackupOptions`: what is refused, and with which sentence."""

from __future__ import annotations

from dataclasses import fields

import pytest

from agolkit.errors import UsageError
from agolkit.options import BackupOptions, nearest


def test_the_defaults_are_those_of_the_contract() -> None:
    """The documented defaults hold."""
    options = BackupOptions()
    assert options.exclude_tags == ["no-backup"]
    assert options.exclude_types == ["Service Definition"]
    assert (options.workers, options.exports, options.attempts) == (16, 8, 3)
    assert (options.connect_timeout, options.idle_timeout) == (10, 60)
    assert (options.export_timeout, options.item_timeout) == (1800, 1800)
    assert options.resume_within == 24 * 3600
    assert options.scope_name == "default"
    assert not options.dry_run


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"workers": "many"}, "workers must be a whole number, not 'many'"),
        ({"workers": True}, "workers must be a whole number, not True"),
        ({"workers": 0}, "workers must be greater than 0"),
        ({"idle_timeout": -1}, "idle_timeout must be greater than 0"),
        ({"resume_within": -1}, "resume_within must be 0 or greater"),
        ({"alarm_items": 1.5}, "alarm_items must be from 0 to 1, not 1.5"),
        ({"alarm_rows": -0.1}, "alarm_rows must be from 0 to 1"),
        ({"types": "Web Map"}, "types must be a list of texts"),
        ({"exclude_tags": [1]}, "exclude_tags must be a list of texts"),
        ({"tree": "links"}, "tree must be one of 'auto', 'copy', 'none'"),
        ({"accept": ["x"]}, "accept must be a mapping of texts to texts"),
        ({"dry_run": "yes"}, "dry_run must be true or false"),
        ({"scratch": 5}, "scratch must be a text or nothing"),
        ({"label": None}, "label must be a text"),
        ({"scope_name": "  "}, "scope_name must not be empty"),
        ({"exclude_tag": ["x"]}, "There is no option 'exclude_tag'. Did you mean 'exclude_tags'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(values: dict[str, object], sentence: str) -> None:
    """Each wrong value ends in a sentence that names the option and what it takes."""
    with pytest.raises(UsageError) as raised:
        BackupOptions.from_mapping(values)
    assert sentence in str(raised.value)
    assert raised.value.exit_code == 2


def test_every_option_can_be_given_by_name() -> None:
    """Options made from their own values are equal."""
    options = BackupOptions(folders=["Water"], workers=4, scratch="x", accept={"a": "known"})
    assert BackupOptions.from_mapping({each.name: getattr(options, each.name) for each in fields(options)}) == options


def test_the_nearest_known_word_is_suggested_without_regard_to_case() -> None:
    """A near miss is suggested, a far one is not."""
    assert nearest("web map", ["Web Map", "PDF"]) == " Did you mean 'Web Map'?"
    assert nearest("zzz", ["Web Map", "PDF"]) == ""
