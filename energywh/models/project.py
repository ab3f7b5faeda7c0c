"""The `sql/` folder as it lies on disk: models and seeds, read but not yet connected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from energywh.errors import ModelError, UnknownNameError, did_you_mean
from energywh.models.frontmatter import Model, read_model

SEEDS = "seeds"
OPTION = "seeds.option"
RESERVED_SCHEMAS = ("staging", "energywh", "main", "temp", "information_schema", "pg_catalog")


@dataclass(frozen=True)
class Seed:
    """One CSV file of `sql/seeds/`, loaded as a table of schema `seeds`.

    Attributes:
        options: what `enabled` is in the rows of these names; of `seeds.option` only, by which settings reach SQL.
    """

    name: str
    path: Path
    file_hash: str
    options: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """All models and seeds by name, such as `normalized.demand` and `seeds.region`."""

    models: Mapping[str, Model]
    seeds: Mapping[str, Seed]

    def pick(self, names: Iterable[str]) -> list[str]:
        """Return the models that a person named, with or without schema.

        Raises:
            UnknownNameError: there is no such model; the message names the nearest, or all.
        """
        return [pick_name(name, self.models) for name in names]


def pick_name(name: str, models: Iterable[str]) -> str:
    """Return the full name of the model that a person called ``name``: `demand` is `normalized.demand`.

    Raises:
        UnknownNameError: no model or more than one is meant; the message names the nearest.
    """
    known = sorted(models)
    wanted = name.lower()
    if wanted in known:
        return wanted
    by_end = [model for model in known if model.split(".")[1] == wanted]
    if len(by_end) == 1:
        return by_end[0]
    if by_end:
        raise UnknownNameError(f"'{name}' may be {' or '.join(by_end)}; give the schema too")
    near = did_you_mean(name, known) or f"; the models are {', '.join(known)}"
    raise UnknownNameError(f"no model is named '{name}'{near}")


def load_project(sql_dir: Path, options: Mapping[str, bool] | None = None) -> Project:
    """Read every seed and model under ``sql_dir``.

    Args:
        options: which options of `seeds.option` hold, by name; those not named are as the file says.

    Raises:
        ModelError: a file is not a model, a folder cannot be a schema, or there are no models.
    """
    seeds: dict[str, Seed] = {}
    for path in sorted((sql_dir / SEEDS).glob("*.csv")):
        name = f"{SEEDS}.{path.stem}"
        held = dict(options or {}) if name == OPTION else {}
        digest = hashlib.sha256(path.read_bytes() + (repr(sorted(held.items())).encode() if held else b""))
        seeds[name] = Seed(name, path, digest.hexdigest()[:16], held)

    models: dict[str, Model] = {}
    for path in sorted(sql_dir.glob("*/*.sql")):
        schema = path.parent.name
        if schema == SEEDS or schema in RESERVED_SCHEMAS:
            raise ModelError(f"{path}:1: a model cannot lie in '{schema}': that schema is taken; use another folder")
        model = read_model(path)
        models[model.name] = model
    if not models:
        raise ModelError(
            f"{sql_dir} holds no models; a model is a file such as {sql_dir / 'normalized' / 'demand.sql'}"
        )
    return Project(models, seeds)
