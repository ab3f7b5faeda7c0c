"""Check what a model reads and returns against what its file promises; errors name the file and the line."""

from __future__ import annotations

import re

from energywh.errors import ModelError, did_you_mean
from energywh.models.build.column_types import ColumnTypes
from energywh.models.contents.staging import Staging
from energywh.models.project.graph import Graph
from energywh.models.project.model import Model


def check_dataset(staging: Staging, graph: Graph, model: Model, table: str) -> None:
    """Raise an error if a staging table does not exist, or has no column that holds the hour."""
    in_staging = table in staging.columns
    if in_staging and staging.stamp(table) is not None:
        return
    line = next(each.line for each in graph.parsed[model.name].references if each.name == table)
    where = f"{model.path}:{model.sql_line + line - 1}"
    if in_staging:
        raise ModelError(
            f"{where}: '{table}' is in the staging database, but its table sync.dataset does not say which column "
            "of it holds the hour; read a dataset that 'energywh sync' fetches"
        )
    near = did_you_mean(table, (name for name in staging.columns if not name.startswith("staging.sync.")))
    raise ModelError(
        f"{where}: '{table}' is not in the staging database{near or '; '}"
        f"{' ' if near else ''}if it is a dataset, run 'energywh sync {table.removeprefix('staging.')}' first"
    )


def promised_types(types: ColumnTypes, model: Model) -> dict[str, str]:
    """Return names and types of the columns that the SELECT returns, after checking them against [columns]."""
    rows = types.returned(model.name)
    names = [row[0] for row in rows]
    missing = [name for name in model.columns if name not in names]
    surplus = [name for name in names if name not in model.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if missing or surplus or twice:
        parts = [
            f"{what} {', '.join(columns)}"
            for what, columns in (
                ("it does not return", missing),
                ("[columns] does not list", surplus),
                ("it returns twice", twice),
            )
            if columns
        ]
        raise ModelError(
            f"{model.path}:{model.sql_line}: {model.name} does not return the columns it promises: " + "; ".join(parts)
        )
    if model.time_column is not None:
        kind = next(row[1] for row in rows if row[0] == model.time_column)
        if kind != "TIMESTAMP":
            raise ModelError(
                f"{model.path}:{model.sql_line}: '{model.time_column}' is {kind}; it must be TIMESTAMP, naive UTC"
            )
    return dict(rows)


def model_error(model: Model, error: Exception) -> ModelError:
    """Turn a DuckDB error into one that names the model's file and, if DuckDB gives it, the line."""
    message = str(error)
    line = re.search(r"^LINE (\d+):", message, re.MULTILINE)
    where = f"{model.path}:{line[1] if line else model.sql_line}"
    first = message.split("\n\nLINE ", maxsplit=1)[0].strip()
    return ModelError(f"{where}: {model.name} failed: {first}")
