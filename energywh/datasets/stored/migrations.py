"""Read the manifest and the matrices of a dataset that an older energywh wrote: a function for each schema number.

Nothing on disk is changed: `energywh dataset make NAME` writes the newest schema. The digest stays that of the content
as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Document = dict[str, Any]


def to_2(document: Document) -> Document:
    """Rename what was named otherwise in some manifests of schema 1."""
    request = _renamed(
        document["request"], {"future": "future_covariates", "static": "region_encoding", "holdout": "holdout_regions"}
    )
    if "overlap" in request:
        request["borrow_context"] = request.pop("overlap") == "inputs"
    roles = {"future": "future_covariate"}
    columns = [
        {**column, "roles": [roles.get(role, role) for role in column["roles"]]} for column in document["columns"]
    ]
    splits = [_renamed(split, {"stretches": "regions"}) for split in document["splits"]]
    files = {name: _renamed(file, {"made_of": "input_digest"}) for name, file in document["files"].items()}
    return {**document, "request": request, "columns": columns, "splits": splits, "files": files}


MIGRATIONS: Mapping[int, Callable[[Document], Document]] = {2: to_2}
NEWEST = max(MIGRATIONS)

# Names of tensors and of entries of their metadata in matrices of a schema before the number.
_MATRIX_NAMES = {2: {"future": "future_covariates", "future_mask": "future_covariates_mask"}}


def migrated(document: Document, number: int) -> Document:
    """Return the manifest of schema ``number`` as one of the newest schema, but for its number."""
    for each in range(number + 1, NEWEST + 1):
        document = MIGRATIONS[each](document)
    return document


def renamed_in_matrix(entries: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return tensors or metadata of a matrix of schema ``number`` under the names of the newest."""
    renamed = dict(entries)
    for each in range(number + 1, NEWEST + 1):
        renamed = _renamed(renamed, _MATRIX_NAMES.get(each, {}))
    return renamed


def _renamed(entries: Mapping[str, Any], names: Mapping[str, str]) -> Document:
    return {names.get(name, name): value for name, value in entries.items()}
