"""Read the models and seeds of the `sql/` folder and of the user's own folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.paths import sql_dir
from energywh.errors import ModelError, UnknownNameError, UsageError, did_you_mean

# Opening a warehouse needs names from this module, and no parser.
if TYPE_CHECKING:
    from energywh.models.project.model import Model
    from energywh.models.project.parse_cache import ParseCache
    from energywh.models.project.seed import Seed

SEEDS = "seeds"
OPTION = "seeds.option"
RESERVED_SCHEMAS = ("staging", "energywh", "main", "temp", "information_schema", "pg_catalog", "sources")


@dataclass(frozen=True)
class Project:
    """All models and seeds by name, such as `normalized.demand` and `seeds.region`.

    Attributes:
        own: names of the user's own models and seeds, usable or not.
        left_out: reasons, by name, of those that cannot be used; they are not in `models` or `seeds`.
        folders: the folders that they were read from.
    """

    models: Mapping[str, Model]
    seeds: Mapping[str, Seed]
    own: frozenset[str] = frozenset()
    left_out: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()

    def pick(self, names: Iterable[str]) -> list[str]:
        """Return the models that a person named, with or without schema.

        Raises:
            UnknownNameError: there is no such model; the message names the nearest, or all.
            ModelError: it is one of the user's own, and cannot be used.
        """
        picked = [pick_name(name, [*self.models, *self.left_out]) for name in names]
        for name in picked:
            if name in self.left_out:
                raise ModelError(self.left_out[name])
        return picked


def pick_name(name: str, models: Iterable[str]) -> str:
    """Return the full name of the model that a person called ``name``: `demand` is `normalized.demand`.

    If a schema of the user's own has a model of that name too, the name means ours.

    Raises:
        UnknownNameError: no model or more than one is meant; the message names the nearest.
    """
    known = sorted(models)
    wanted = name.lower()
    if wanted in known:
        return wanted
    by_end = [model for model in known if model.split(".")[1] == wanted]
    ours = [model for model in by_end if model.split(".")[0] in shipped_schemas()]
    if len(ours) == 1 or len(by_end) == 1:
        by_end = ours or by_end
        return by_end[0]
    if by_end:
        raise UnknownNameError(f"'{name}' may be {' or '.join(by_end)}; give the schema too")
    near = did_you_mean(name, known) or f"; the models are {', '.join(known)}"
    raise UnknownNameError(f"no model is named '{name}'{near}")


@cache
def shipped_schemas() -> frozenset[str]:
    """Return the schemas of the models that come with energywh."""
    return frozenset(path.parent.name for path in sql_dir().glob("*/*.sql"))


def load_project(folder: Path, options: Mapping[str, bool] | None = None, own_folders: Iterable[Path] = ()) -> Project:
    """Read every seed and model under ``folder``, and those of the user's own.

    A wrong file of the user's own is left out with its reason; a wrong file of ``folder`` is an error.

    Args:
        options: values of options of `seeds.option` by name; the others keep the value in the file.
        own_folders: folders laid out like ``folder``.

    Raises:
        ModelError: a file of ``folder`` is wrong, it has no models, a file is misplaced, or two have the same name.
        UsageError: a folder of the user's own does not exist or is empty.
    """
    from energywh.models.project.parse_cache import ParseCache

    folders = (folder.resolve(), *dict.fromkeys(own.resolve() for own in own_folders))
    with ParseCache("project", *map(str, folders)) as cache:
        return _load(folder, options or {}, folders, cache)


def _load(folder: Path, options: Mapping[str, bool], folders: tuple[Path, ...], cache: ParseCache) -> Project:
    from energywh.models.project.generated import generated_models, generated_seeds
    from energywh.models.project.model import read_model

    files = _files(folder)
    models = {name: read_model(path, cache) for name, path in files.items() if path.suffix == ".sql"}
    seeds = {name: _read_seed(name, path, options) for name, path in files.items() if path.suffix == ".csv"}
    if not models:
        raise ModelError(f"{folder} holds no models; a model is a file such as {folder / 'normalized' / 'demand.sql'}")
    shipped, left_out = dict(files), {}
    schemas = {name.split(".")[0] for name in models}
    by_end = {name.split(".")[1]: name for name in models}
    for own in folders[1:]:
        for name, path in _own_files(own).items():
            if (other := files.get(name)) is not None:
                raise ModelError(f"{path}:1: '{name}' is taken by {other}; give the file another name")
            schema, end = name.split(".", 1)
            if schema in schemas and end in by_end:
                raise ModelError(
                    f"{path}:1: '{name}' would be taken for {by_end[end]} ({shipped[by_end[end]]}) if the schema is "
                    "left out; give the file another name, or put it into a schema of your own"
                )
            files[name] = path
            try:
                if path.suffix == ".sql":
                    models[name] = read_model(path, cache)
                else:
                    seeds[name] = _read_seed(name, path, {})
            except ModelError as error:
                left_out[name] = str(error)
    texts = [model.sql for model in models.values()]
    models |= generated_models(texts)
    seeds |= generated_seeds(texts)
    return Project(models, seeds, frozenset(files.keys() - shipped.keys()), left_out, folders)


def _own_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder of the user's own by table name; a misplaced file is an error."""
    if not folder.is_dir():
        raise UsageError(
            f"the folder of models {folder} is not there; name another in build.models or --models, or none"
        )
    example = folder / "features" / "mine.sql"
    for path in sorted(folder.glob("*.sql")):
        raise ModelError(f"{path}:1: a model lies in a folder with the name of its schema, such as {example}")
    if not (files := _files(folder)):
        raise UsageError(f"the folder of models {folder} holds no models; a model is a file such as {example}")
    return files


def _files(folder: Path) -> dict[str, Path]:
    """Return the files of seeds and models by the name of their table.

    Raises:
        ModelError: a folder cannot be a schema.
    """
    files = {f"{SEEDS}.{path.stem}": path for path in sorted((folder / SEEDS).glob("*.csv"))}
    for path in sorted(folder.glob("*/*.sql")):
        schema = path.parent.name
        if schema.lower() in (SEEDS, *RESERVED_SCHEMAS):
            raise ModelError(f"{path}:1: a model cannot lie in '{schema}': that schema is taken; use another folder")
        files[f"{schema}.{path.stem}"] = path
    return files


def _read_seed(name: str, path: Path, options: Mapping[str, bool]) -> Seed:
    """Return the seed in the file at ``path``; the seed `seeds.option` takes ``options``.

    Raises:
        ModelError: the file cannot be read, or its name cannot name a table.
    """
    from energywh.models.project.front_matter import NAME
    from energywh.models.project.seed import Seed

    if not NAME.fullmatch(path.stem):
        raise ModelError(f"{path}:1: '{path.stem}' cannot name a table: use lower-case letters, digits and _")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the seed: {error.strerror or error}") from None
    held = dict(options) if name == OPTION else {}
    digest = hashlib.sha256(content + (repr(sorted(held.items())).encode() if held else b""))
    return Seed(name, path, digest.hexdigest()[:16], held)
