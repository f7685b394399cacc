"""What several commands have in common: the group they belong to, their options, and what is read from these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import yaml

import agolkit as ak
from agolkit.errors import UsageError
from agolkit.options import BackupOptions

if TYPE_CHECKING:
    from agolkit.portal import Portal

F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="agolkit")
def commands() -> None:
    """Dated, proven backups of an ArcGIS Online or ArcGIS Enterprise organization.

    The sign-in comes from AGOLKIT_URL, AGOLKIT_USERNAME, AGOLKIT_PASSWORD (or AGOLKIT_PASSWORD_FILE) or a profile.
    A secret is never an argument.
    """


def with_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")(command)


def with_portal(command: F) -> F:
    url = click.option("--url", help="Address of the portal; else AGOLKIT_URL.")
    profile = click.option("--profile", help="A profile with a saved sign-in; else AGOLKIT_* of the environment.")
    return url(profile(command))


def with_parameters(command: F) -> F:
    file = click.option("--parameters", "file", type=click.Path(path_type=Path), help="YAML file of parameters.")
    pairs = click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="One parameter, as YAML.")
    return file(pairs(command))


def read_parameters(file: Path | None, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of a file, and those named one by one, which win."""
    parameters: dict[str, Any] = {}
    try:
        if file is not None:
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            if not isinstance(content, dict):
                raise UsageError(f"{file} must hold lines of the form `name: value`.")
            parameters.update(content)
        for name, value in pairs:
            parameters[name] = yaml.safe_load(value)
    except OSError as error:
        raise UsageError(f"The parameters file {file} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"The parameters are not valid YAML: {error}") from error
    return parameters


def portal_and_options(
    url: str | None, profile: str | None, file: Path | None, pairs: Sequence[tuple[str, str]]
) -> tuple[Portal, BackupOptions]:
    """A signed-in portal, and the options; whatever is wrong with the options is said before anything is sent."""
    parameters = read_parameters(file, pairs)
    for name in ("store", "interactive", "prune"):
        parameters.pop(name, None)
    url, profile = url or parameters.pop("url", None), profile or parameters.pop("profile", None)
    options = BackupOptions.from_mapping({k: v for k, v in parameters.items() if k not in ("url", "profile")})
    return ak.connect(url or None, profile=profile or None), options
