"""Find out whether the published version is up to date, without parsing SQL."""

from __future__ import annotations

from pathlib import Path

from energywh.core.interrupt import interruptible
from energywh.core.paths import Home
from energywh.errors import CorruptError
from energywh.models.build.events import Emitter, ModelLeftOut
from energywh.models.build.fill import warn_if_empty
from energywh.models.build.options import BuildOptions
from energywh.models.build.own_models import attempt_digest
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.staging import Staging, attach_read_only
from energywh.models.contents.state import Meta, check_schema, compatible
from energywh.models.project.graph import STAGING
from energywh.models.project.project import Project
from energywh.models.versions.records import is_changed


def left_out_if_up_to_date(
    home: Home, current: Path, project: Project, wanted: list[str], options: BuildOptions, emit: Emitter
) -> dict[str, str] | None:
    """Find out whether the version ``current`` holds all that a build would give.

    Returns:
        None if there is work to do; else which models and seeds of the user's own a build would leave out again, and
        why.

    Raises:
        StorageError: a newer energywh published ``current``.
    """
    import duckdb

    with duckdb.connect() as connection, interruptible(connection):
        connection.execute("SET TimeZone = 'UTC'")
        try:
            attach_read_only(connection, current, "published", wait_seconds=options.wait_seconds, on_wait=emit.say)
        except CorruptError:
            return None
        # Looked at once the file is open: a program that held it for writing may have been waited for.
        check_schema(connection, current, "published.", oldest=1)
        if is_changed(current) or not compatible(connection, "published."):
            return None
        state = BuildState(connection, "published.")
        known = state.models
        left_out = {} if wanted else Meta(connection, "published.").left_out()
        if not wanted and known.keys() != project.models.keys() - left_out.keys():
            return None
        if not wanted and not project.left_out.keys() <= left_out.keys():
            return None
        if {name: seed.file_hash for name, seed in project.seeds.items() if name not in left_out} != state.seeds:
            return None
        attach_read_only(connection, home.staging, "staging", wait_seconds=options.wait_seconds, on_wait=emit.say)
        staging = Staging(connection, home.staging)
        if left_out:
            tried = attempt_digest(project, options, state, staging.watermarks())
            if any(each.tried != tried for each in left_out.values()):
                return None
        waiting, seen = list(wanted or known), set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in project.models:
                continue
            seen.add(name)
            if name not in known or known[name].file_hash != project.models[name].file_hash:
                return None
            upstream = state.reads.get(name, [])
            tables = [table for table in upstream if table.startswith(STAGING)]
            since = known[name].landing
            if tables and not (staging.holds(since) and not staging.changed_months(tables, since)):
                return None
            # A step has no rows: what it reads changes those of its readers, which record it as their own input.
            if known[name].materialized != "inline" and state.changed_inputs(name, upstream):
                return None
            waiting += upstream
        warn_if_empty(staging, emit)
    if left_out:
        emit.say("your own models that failed are not tried again, because nothing changed; --full tries them")
    for name, each in left_out.items():
        emit(ModelLeftOut(name, each.reason))
    return {name: each.reason for name, each in left_out.items()}
