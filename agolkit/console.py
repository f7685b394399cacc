"""What the command line prints: text that cannot steer the terminal, and tables that fit it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from agolkit.model import counted, one_line

if TYPE_CHECKING:
    import pandas

LONGEST = {
    "name": 64,
    "backup": 69,
    "title": 30,
    "type": 23,
    "owner": 15,
    "message": 60,
    "reason": 100,
    "what": 100,
    "where": 100,
}
"""Characters that a column of a table shows for people; 40 where it is not named here."""


def plain(text: object) -> str:
    """`text` without control characters: a title must not steer the terminal."""
    return "\n".join(map(one_line, str(text).split("\n")))


def say(text: object) -> None:
    click.echo(plain(text))


def say_aside(text: object) -> None:
    """To stderr, so that stdout stays machine-readable."""
    click.echo(plain(text), err=True)


def show_table(frame: pandas.DataFrame, columns: Sequence[str], as_json: bool) -> None:
    """A table: some columns for people, everything for machines."""
    if as_json:
        click.echo(frame.to_json(orient="records", date_format="iso"))
    elif len(frame):
        table = frame[list(columns)].copy()
        for name in table.select_dtypes(exclude=["number", "datetime"]):
            texts = [_shortened(text, LONGEST.get(str(name), 40)) for text in table[name].fillna("")]
            width = max(map(len, texts))
            table[name] = [text.ljust(width) for text in texts]
        say(table.to_string(index=False, na_rep="", justify="left"))
    else:
        say("Nothing.")


def show_results(items: pandas.DataFrame) -> None:
    """Counts by result, a table of the types that are not verified throughout, and what is not verified and why."""
    import pandas

    counts = items["result"].value_counts()
    say(f"\n{len(items):,} items: " + ", ".join(f"{count:,} {result}" for result, count in counts.items()) + "\n")
    by_type = pandas.crosstab(items["type"], items["result"])[list(counts.index)]
    whole = items["result"].eq("verified").groupby(items["type"]).all()
    if whole.any():
        say(f"Of {counted(int(whole.sum()), 'type')} every item is verified.")
    if whole.all():
        return
    say(by_type[~whole].rename_axis(index=None, columns=None).replace(0, "").to_string())
    say("\nNot verified, and why")
    for result in counts.index.drop("verified", errors="ignore"):
        for message, some in items[items["result"] == result].groupby("message"):
            first = some.iloc[0]
            more = f" and {len(some) - 1} more" if len(some) > 1 else ""
            say(f"  {result:<10} {first['title']} ({first['type']}){more}: {message}")


def _shortened(text: object, most: int) -> str:
    """One line of at most so many characters; the whole text is in the machine-readable output."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
