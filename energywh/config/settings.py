"""Settings: defaults, under `energywh.toml` in the home folder, under the environment, under options.

Each setting is declared once, as an `Option`: the core ones here, a source's own in its file in `energywh/sources/`.
The name of its environment variable follows from its own: `eia.url` is `ENERGYWH_EIA_URL`; some have an older,
well-known name beside it (`EIA_API_KEY`). `energywh.sources.load_settings` loads both kinds.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energywh.config.options import Option
from energywh.core.paths import DEFAULT_HOME, Home
from energywh.core.printable import mask_keys
from energywh.core.time import parse_duration_hours
from energywh.errors import SettingsError, did_you_mean

HOME_VARIABLE = "ENERGYWH_HOME"


CORE_OPTIONS = (
    Option("sync.sources", "", "Sources that a plain sync takes, by commas; empty for all that can run."),
    Option("sync.jobs", 8, "Requests under way at once, per source.", minimum=1, maximum=64),
    Option("sync.timeout_seconds", 60.0, "How long to wait for a source to answer.", minimum=0.1),
    Option("sync.retries", 6, "How often a request is tried again after a passing fault.", minimum=0),
    Option("payloads.retention", "30d", "How long raw payloads are kept; 0h keeps none.", duration=True),
    Option("build.keep_versions", 3, "Published versions kept, the newest included.", minimum=2),
    Option(
        "build.keep_days", 0, "Of each of so many last days the newest version is kept too.", minimum=0, maximum=36_500
    ),
    Option("build.threads", 0, "Threads a build may use; 0 uses every core.", minimum=0),
    Option(
        "build.memory_limit", "", "DuckDB memory limit of a build, such as '8GB'; empty for DuckDB's own.", memory=True
    ),
    Option("build.models", "", "Folders of your own models, built beside the others; empty for none.", folders=True),
    Option(
        "dataset.memory_limit",
        "1500MB",
        "DuckDB memory limit while a dataset is made; empty for DuckDB's own.",
        memory=True,
    ),
    Option("openlineage.file", "", "File that OpenLineage events are appended to; empty for none.", path=True),
    Option("openlineage.url", "", "Endpoint of OpenLineage events (its key: OPENLINEAGE_API_KEY); empty for none."),
    Option("openlineage.namespace", "energywh", "Namespace of the jobs in OpenLineage events."),
    Option("build.corrections", False, "Correct clocks and signs known to have been wrong, and mark the rows."),
    Option("lock.wait_seconds", 600.0, "How long to wait for a file that another process holds.", minimum=0),
    Option("state.folder", "", "Folder of the request limits shared by all processes; empty for the user's own."),
)


def without_secrets(text: str) -> str:
    """Return a text that may be an address without what may be secret in it: user, password, parameters and keys."""
    address = re.fullmatch(
        r"(?P<scheme>[a-z][a-z0-9+.-]*:/+)?(?P<user>[^?#]*@)?(?P<place>[^?#]*)(?P<parameters>[?#].*)?",
        text.strip(),
        re.IGNORECASE | re.DOTALL,
    )
    if address is None or text.startswith((".", "/", "~")):  # a folder
        return text
    user, parameters = ("REDACTED@" if address["user"] else ""), ("?REDACTED" if address["parameters"] else "")
    return f"{address['scheme'] or ''}{user}{mask_keys(address['place'])}{parameters}"


@dataclass(frozen=True)
class Setting:
    """The value that holds for an option, and where it came from."""

    option: Option
    value: Any
    origin: str

    @property
    def shown(self) -> str:
        """The value as it may be printed."""
        if self.option.secret:
            return "(not set)" if not self.value else "********"
        if self.option.folders:
            return ", ".join(map(str, self.value))
        return without_secrets(str(self.value).lower() if isinstance(self.value, bool) else str(self.value))


@dataclass(frozen=True)
class Settings:
    """All settings that hold for one home folder."""

    home: Home
    home_origin: str
    items: Mapping[str, Setting] = field(repr=False)  # repr=False: values may be secret

    def get(self, name: str) -> Any:
        """Return the value of setting ``name``, in the type of its default.

        Raises:
            SettingsError: there is no setting of that name.
        """
        try:
            return self.items[name].value
        except KeyError:
            raise SettingsError(f"no setting is named '{name}'{did_you_mean(name, self.items)}") from None


def load(
    declared: Iterable[Option],
    home_option: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Gather the settings that hold.

    Args:
        declared: settings beside `CORE_OPTIONS`: those of the sources.
        home_option: home folder given by the user; else `ENERGYWH_HOME`, else `./warehouse`.
        overrides: values from command-line options by setting name; None means not given.
        environment: stands in for `os.environ` in tests.

    Raises:
        SettingsError: a misspelt name, a value of the wrong type, or a file that is not TOML.
    """
    environment = os.environ if environment is None else environment
    home, home_origin = resolve_home(home_option, environment)
    options = {option.name: option for option in (*declared, *CORE_OPTIONS)}
    _check_variables(environment, options.values())
    in_file = _read_file(home.settings_file, options)
    items: dict[str, Setting] = {}
    for name, option in options.items():
        raw, origin = _pick(option, overrides or {}, environment, in_file, home.settings_file)
        value = _typed(option, raw, origin)
        if option.path or option.folders:
            value = _anchored(value, home.path if origin == str(home.settings_file) else Path())
        items[name] = Setting(option, value, origin)
    return Settings(home, home_origin, items)


def resolve_home(
    home_option: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Home, str]:
    """Return the home folder that holds, and where it came from; `~` is the user's own folder."""
    environment = os.environ if environment is None else environment
    if home_option is not None:
        if not str(home_option).strip():
            raise SettingsError("--home names no folder")
        return Home(Path(home_option).expanduser()), "--home"
    if environment.get(HOME_VARIABLE):
        return Home(Path(environment[HOME_VARIABLE]).expanduser()), HOME_VARIABLE
    return Home(DEFAULT_HOME), "default"


def _pick(
    option: Option,
    overrides: Mapping[str, Any],
    environment: Mapping[str, str],
    in_file: Mapping[str, Any],
    file: Path,
) -> tuple[Any, str]:
    """Return the raw value of the highest layer that has one, and that layer's name."""
    if overrides.get(option.name) is not None:
        return overrides[option.name], "option"
    for variable in option.environment:
        if environment.get(variable):
            return environment[variable], variable
    if option.name in in_file:
        return in_file[option.name], str(file)
    return option.default, "default"


def _check_variables(environment: Mapping[str, str], options: Iterable[Option]) -> None:
    """Reject a misspelt variable, which would otherwise silently leave its setting at the default."""
    known = {HOME_VARIABLE, *(variable for option in options for variable in option.environment)}
    for variable in environment:
        if variable.startswith("ENERGYWH_") and variable not in known:
            raise SettingsError(
                f"no setting has the environment variable {mask_keys(variable)}{did_you_mean(variable, known)}"
            )


def _read_file(file: Path, options: Mapping[str, Option]) -> dict[str, Any]:
    """Return dotted names and raw values of the TOML file; nothing if there is no file."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {mask_keys(str(error))}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {file}: {error}") from None

    sections = {name.split(".")[0] for name in options}
    flat: dict[str, Any] = {}
    for section, entries in document.items():
        if section in sections and not isinstance(entries, dict):
            raise SettingsError(f"{file}: [{section}] must be a table, as in [{section}] and lines below it")
        if section not in sections or not isinstance(entries, dict):
            raise SettingsError(f"{file}: no section is named [{mask_keys(section)}]{did_you_mean(section, sections)}")
        for key, value in entries.items():
            name = f"{section}.{key}"
            if name not in options:
                known = [name.split(".")[1] for name in options if name.startswith(f"{section}.")]
                raise SettingsError(f"{file}: [{section}] has no setting '{mask_keys(key)}'{did_you_mean(key, known)}")
            _typed(options[name], value, str(file))  # checked even where a variable or option overrides it
            flat[name] = value
    return flat


def _anchored(value: str | tuple[str, ...], base: Path) -> Any:
    """Return paths as Path, relative ones under ``base``; an empty text stays one."""
    if isinstance(value, tuple):
        return tuple(base / Path(text).expanduser() for text in value)
    return base / Path(value).expanduser() if value else ""


def _typed(option: Option, raw: Any, origin: str) -> Any:
    """Return ``raw`` in the option's type, or raise an error that shows no secret."""
    if option.folders:
        texts = str(raw).split(os.pathsep) if isinstance(raw, str) else raw
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise SettingsError(
                f"setting '{option.name}' (from {origin}) must be a folder or a list of folders, not {raw!r}"
            )
        return tuple(text.strip() for text in texts if text.strip())
    kind = type(option.default)
    shown = "the given value" if option.secret else repr(without_secrets(raw) if isinstance(raw, str) else raw)
    wrong = SettingsError(f"setting '{option.name}' (from {origin}) must be {_KIND_NAMES[kind]}, not {shown}")
    if kind is bool:
        word = str(raw).strip().lower()
        if not isinstance(raw, bool | str) or word not in _BOOLEANS:
            raise wrong
        return _BOOLEANS[word]
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise wrong
    try:
        value = kind(raw) if kind is not str else str(raw).strip()
    except (ValueError, OverflowError):
        raise wrong from None
    if (kind is int and isinstance(raw, float) and raw != value) or value in (math.inf, -math.inf):
        raise wrong
    if option.minimum is not None and not float(value) >= option.minimum:
        raise SettingsError(f"setting '{option.name}' (from {origin}) must be at least {option.minimum:g}, not {shown}")
    if option.maximum is not None and not float(value) <= option.maximum:
        raise SettingsError(f"setting '{option.name}' (from {origin}) must be at most {option.maximum:g}, not {shown}")
    if option.duration:
        parse_duration_hours(str(value), f"setting '{option.name}' (from {origin})")
    if option.memory and value and not _MEMORY.fullmatch(str(value)):
        raise SettingsError(
            f"setting '{option.name}' (from {origin}) must be an amount of memory such as 8GB or 512MiB, not {shown}"
        )
    return value


_MEMORY = re.compile(r"\d+(\.\d+)?\s*([KMGT]|[KMGT]i?B|%)", re.IGNORECASE)  # DuckDB's units, except bytes
_BOOLEANS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
_KIND_NAMES: dict[type, str] = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}


def describe(settings: Settings) -> Iterable[tuple[str, str, str, str]]:
    """Yield (name, shown value, origin, help) of each setting, secrets masked, the home folder first."""
    yield "home", str(settings.home.path), settings.home_origin, "Folder that holds the warehouse."
    for name, setting in settings.items.items():
        yield name, setting.shown, setting.origin, setting.option.help
