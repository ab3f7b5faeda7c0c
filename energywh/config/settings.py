"""Settings: defaults, under `energywh.toml` in the home folder, under the environment, under options.

Each setting is declared once, as a field of a `Section`: the core ones here, a source's own in its file in
`energywh/sources/`. msgspec decodes the values by the types of the fields.
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
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from energywh.config.options import Duration, File, Folders, MemoryLimit, Option, Secret, Section, options_of
from energywh.core.paths import DEFAULT_HOME, Home
from energywh.core.printable import mask_keys
from energywh.core.time import parse_duration_hours
from energywh.errors import SettingsError, did_you_mean

# Of energywh.toml, where it may stand above all sections: raised when a setting gets another name or meaning.
SCHEMA = 1
HOME_VARIABLE = "ENERGYWH_HOME"


class SyncSettings(Section):
    sources: Annotated[str, "Sources that a plain sync takes, by commas; empty for all that can run."] = ""
    jobs: Annotated[int, Meta(ge=1, le=64), "Requests under way at once, per source."] = 8
    timeout_seconds: Annotated[float, Meta(ge=0.1), "How long to wait for a source to answer."] = 60.0
    retries: Annotated[int, Meta(ge=0), "How often a request is tried again after a passing fault."] = 6


class PayloadSettings(Section):
    retention: Annotated[Duration, "How long raw payloads are kept; 0h keeps none."] = Duration("30d")


class BuildSettings(Section):
    keep_versions: Annotated[int, Meta(ge=2), "Published versions kept, the newest included."] = 3
    keep_days: Annotated[int, Meta(ge=0, le=36_500), "Of each of so many last days the newest version is kept too."] = 0
    threads: Annotated[int, Meta(ge=0), "Threads a build may use; 0 uses every core."] = 0
    memory_limit: Annotated[MemoryLimit, "DuckDB memory limit of a build, such as '8GB'; empty for DuckDB's own."] = ""
    models: Annotated[Folders, "Folders of your own models, built beside the others; empty for none."] = ()
    max_loss_percent: Annotated[
        float, Meta(ge=0, le=100), "Rows that a build may take from a published table, in percent; 100 for all."
    ] = 5.0
    corrections: Annotated[bool, "Correct clocks and signs known to have been wrong, and mark the rows."] = False


class DatasetSettings(Section):
    memory_limit: Annotated[MemoryLimit, "DuckDB memory limit while a dataset is made; empty for DuckDB's own."] = (
        "1500MB"
    )


class OpenLineageSettings(Section):
    file: Annotated[File, "File that OpenLineage events are appended to; empty for none."] = None
    url: Annotated[str, "Endpoint of OpenLineage events (its key: OPENLINEAGE_API_KEY); empty for none."] = ""
    namespace: Annotated[str, "Namespace of the jobs in OpenLineage events."] = "energywh"


class LockSettings(Section):
    wait_seconds: Annotated[float, Meta(ge=0), "How long to wait for a file that another process holds."] = 600.0


class StateSettings(Section):
    folder: Annotated[str, "Folder of the request limits shared by all processes; empty for the user's own."] = ""


CORE_SECTIONS: dict[str, type[Section]] = {
    "sync": SyncSettings,
    "payloads": PayloadSettings,
    "build": BuildSettings,
    "dataset": DatasetSettings,
    "openlineage": OpenLineageSettings,
    "lock": LockSettings,
    "state": StateSettings,
}
CORE_OPTIONS = tuple(option for name, section in CORE_SECTIONS.items() for option in options_of(name, section))


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
        if self.value is None or isinstance(self.value, tuple):
            return ", ".join(map(str, self.value or ()))
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
        value = _typed(option, raw, origin, home.path if origin == str(home.settings_file) else Path())
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

    number = document.pop("schema", SCHEMA)
    if type(number) is not int or number < 1:
        raise SettingsError(f"{file}: schema must be a number of a schema, such as {SCHEMA}")
    if number > SCHEMA:
        raise SettingsError(
            f"{file} was written for a newer energywh (schema {number}; this one knows {SCHEMA}): upgrade energywh"
        )
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


def _typed(option: Option, raw: Any, origin: str, base: Path = Path()) -> Any:
    """Return ``raw`` in the option's type, paths under ``base``, or raise an error that shows no secret."""
    kind, given = option.kind, raw.strip() if isinstance(raw, str) else raw
    if kind in (str, Secret) and type(raw) in (int, float):
        given = str(raw)
    elif kind is bool and isinstance(given, str):
        given = _SWITCHES.get(given.lower(), given)
    elif kind == Folders and isinstance(given, str):
        given = [part.strip() for part in given.split(os.pathsep) if part.strip()]

    def path(_: type, text: Any) -> Path:
        return base / Path(text).expanduser()

    named = f"setting '{option.name}' (from {origin})"
    expected = next((meta.title for meta in option.metas if meta.title), _KIND_NAMES[kind])
    try:
        value = msgspec.convert(given or None if kind == File else given, option.type, strict=False, dec_hook=path)
        if value == math.inf:
            raise msgspec.ValidationError
    except msgspec.ValidationError as error:
        if bound := re.search(r"([<>])= (\S+)", str(error)):
            expected = f"at {'least' if bound[1] == '>' else 'most'} {bound[2].removesuffix('.0')}"
        shown = "the given value" if option.secret else repr(without_secrets(raw) if isinstance(raw, str) else raw)
        raise SettingsError(f"{named} must be {expected}, not {shown}") from None
    if kind is Duration:
        parse_duration_hours(value, named)
    return value


_SWITCHES = {"on": True, "yes": True, "off": False, "no": False}  # msgspec knows true, false, 1 and 0
_KIND_NAMES: dict[Any, str] = {
    **{bool: "true or false", int: "a whole number", float: "a number", str: "text", Secret: "text"},
    **{Duration: "a duration such as 10d", File: "a file", Folders: "a folder or a list of folders"},
}


def describe(settings: Settings) -> Iterable[tuple[str, str, str, str]]:
    """Yield (name, shown value, origin, help) of each setting, secrets masked, the home folder first."""
    yield "home", str(settings.home.path), settings.home_origin, "Folder that holds the warehouse."
    for name, setting in settings.items.items():
        yield name, setting.shown, setting.origin, setting.option.help
