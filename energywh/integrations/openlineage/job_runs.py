"""Runs of jobs as OpenLineage events, and the thread that delivers them.

Each run has one START event and exactly one of COMPLETE, FAIL and ABORT, as the standard requires.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from openlineage.client.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    documentation_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    sql_job,
)
from openlineage.client.generated.base import JobFacet, RunFacet
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.uuid import generate_new_uuid

from energywh.config.settings import without_secrets
from energywh.core.version import VERSION

if TYPE_CHECKING:
    from energywh.integrations.openlineage import Target

PRODUCER = f"urn:energywh:{VERSION}"
ENDPOINT = "api/v1/lineage"  # the standard's own, where the address names none
SEND_SECONDS = 3.0  # for an endpoint to take one event
CLOSE_SECONDS = 5.0  # that a sync or build waits, at most, for what is not delivered when it ends

_LOST = "warning: OpenLineage events are lost"

End = Literal["COMPLETE", "FAIL", "ABORT"]


def now() -> str:
    """Return the current time in the format of an event."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class EventSender:
    """Delivers events in a separate thread. A file or endpoint that fails once gets no further events."""

    def __init__(self, target: Target, say: Callable[[str], None]) -> None:
        self.target = target
        self._say = say
        self._events: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._clients = dict(_clients(target))
        self._troubles: list[str] = []
        self._thread = threading.Thread(target=self._deliver, name="energywh-openlineage", daemon=True)
        self._thread.start()

    def put(self, event: RunEvent) -> None:
        """Queue an event without waiting."""
        self._events.put(event)

    @contextmanager
    def errors_as_warnings(self) -> Iterator[None]:
        """Turn any exception of the block, which makes events, into a warning."""
        try:
            yield
        except Exception as error:
            self._troubles.append(_unexpected(error))

    def close(self) -> None:
        """Wait at most `CLOSE_SECONDS` for the delivery, and warn about what could not be delivered."""
        self._events.put(None)
        self._thread.join(CLOSE_SECONDS)
        for trouble in dict.fromkeys(self._troubles):
            self._say(f"{_LOST}: {trouble}")
        if self._thread.is_alive():
            self._say(f"{_LOST}: not all were delivered within {CLOSE_SECONDS:g} s")

    def _deliver(self) -> None:
        while (event := self._events.get()) is not None:
            for place, client in list(self._clients.items()):
                try:
                    client.emit(event)
                except Exception as error:  # a failed delivery must not fail the run
                    del self._clients[place]
                    self._troubles.append(f"{place}: {_why(error)}")


def _clients(target: Target) -> Iterator[tuple[str, OpenLineageClient]]:
    """Yield a client for the file and one for the endpoint, each with a printable name."""
    if target.file is not None:
        config = FileConfig(log_file_path=str(target.file), append=True)
        yield str(target.file), OpenLineageClient(transport=FileTransport(config))
    if target.url:
        parts = urlsplit(target.url)
        path = parts.path.strip("/") or ENDPOINT
        http = HttpConfig.from_dict(
            {
                "url": f"{parts.scheme}://{parts.netloc}",
                "endpoint": f"/{path}" + (f"?{parts.query}" if parts.query else ""),
                "timeout": SEND_SECONDS,
                "retry": {"total": 0, "status_forcelist": []},  # urllib3 logs each retry, with the address
                **({"auth": {"type": "api_key", "apiKey": target.api_key}} if target.api_key else {}),
            }
        )
        yield without_secrets(target.url), OpenLineageClient(transport=HttpTransport(http))


def _unexpected(error: Exception) -> str:
    """Describe a defect of this package, without the error's text, which may hold the address."""
    return f"unexpected {type(error).__name__}; please report it"


def _why(error: Exception) -> str:
    """Return why a delivery failed, without the address, which is part of the texts of requests' errors."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # of the file
        error = error.__cause__  # type: ignore[assignment]
    return getattr(error, "strerror", None) or type(error).__name__


@dataclass(frozen=True)
class JobFacts:
    """What a job is.

    Attributes:
        name: such as `build` or `build.normalized.demand`.
        kind: the standard's job type, such as SYNC or MODEL.
        engine: version of DuckDB.
    """

    name: str
    kind: str
    description: str
    engine: str = ""
    sql: str = ""


class JobRun:
    """One run of a job: its START event, and its final one.

    Args:
        started_at: when it began; by default now.
    """

    def __init__(
        self,
        sender: EventSender,
        job: JobFacts,
        *,
        parent: JobRun | None = None,
        inputs: Iterable[InputDataset] = (),
        outputs: Iterable[OutputDataset] = (),
        started_at: str = "",
    ) -> None:
        self._sender = sender
        self._target = sender.target
        self._job = job
        self._run_id = str(generate_new_uuid())
        self._parent = parent
        self._ended = False
        self._job_facets: dict[str, JobFacet] = {
            "jobType": job_type_job.JobTypeJobFacet("BATCH", "ENERGYWH", job.kind, producer=PRODUCER),
            "documentation": documentation_job.DocumentationJobFacet(job.description, producer=PRODUCER),
        }
        if job.sql:
            query = self._target.redacted(job.sql)
            self._job_facets["sql"] = sql_job.SQLJobFacet(query, "duckdb", producer=PRODUCER)
        self._inputs = list(inputs)
        self._emit(RunState.START, started_at or now(), self._inputs, outputs)

    def end(
        self,
        state: End,
        *,
        error: str = "",
        inputs: Iterable[InputDataset] | None = None,
        outputs: Iterable[OutputDataset] = (),
    ) -> None:
        """Send the final event; a second call does nothing. The inputs default to those of the START event."""
        if not self._ended:
            self._ended = True
            with self._sender.errors_as_warnings():
                self._emit(RunState[state], now(), self._inputs if inputs is None else inputs, outputs, error)

    def _emit(
        self,
        state: RunState,
        moment: str,
        inputs: Iterable[InputDataset],
        outputs: Iterable[OutputDataset],
        error: str = "",
    ) -> None:
        facets: dict[str, RunFacet] = {}
        if self._job.engine:
            engine = processing_engine_run.ProcessingEngineRunFacet(self._job.engine, "DuckDB", producer=PRODUCER)
            facets["processing_engine"] = engine
        if (parent := self._parent) is not None:
            job = parent_run.Job(self._target.namespace, parent._job.name)
            facets["parent"] = parent_run.ParentRunFacet(parent_run.Run(parent._run_id), job, producer=PRODUCER)
        if error:
            text = self._target.redacted(error)
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(text, "PYTHON", producer=PRODUCER)
        self._sender.put(
            RunEvent(
                eventType=state,
                eventTime=moment,
                producer=PRODUCER,
                run=Run(self._run_id, facets),
                job=Job(self._target.namespace, self._job.name, dict(self._job_facets)),
                inputs=list(inputs),
                outputs=list(outputs),
            )
        )


def begin(
    target: Target, say: Callable[[str], None], start: Callable[[EventSender], JobRun]
) -> tuple[EventSender, JobRun] | None:
    """Return a sender and the run that ``start`` begins; None, after a warning, if either fails."""
    try:
        sender = EventSender(target, say)
    except Exception as error:
        say(f"{_LOST}: {_unexpected(error)}")
        return None
    with sender.errors_as_warnings():
        return sender, start(sender)
    sender.close()
    return None


@contextmanager
def ending(run: JobRun, sender: EventSender) -> Iterator[None]:
    """Deliver the events when the block ends; if it raises, end ``run`` with FAIL or ABORT first."""
    try:
        yield
    except BaseException as error:
        end_failed(run, error)
        raise
    finally:
        sender.close()


def end_failed(run: JobRun, error: BaseException) -> None:
    """End ``run`` with ABORT if ``error`` is an interrupt, else with FAIL."""
    if isinstance(error, KeyboardInterrupt):
        run.end("ABORT")
    else:
        run.end("FAIL", error=message(error))


def message(error: BaseException) -> str:
    """Return the text of an error, or the name of its class if it has none."""
    return str(error) or type(error).__name__


def database(file: Path) -> str:
    """Return the namespace of the tables in a DuckDB file."""
    return f"duckdb://{file.absolute()}"


def schema(columns: Iterable[tuple[str, str, str]]) -> schema_dataset.SchemaDatasetFacet:
    """Return the schema facet of columns, each a name, a type and a description (may be empty)."""
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=kind, description=words or None)
        for name, kind, words in columns
    ]
    return schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)


def documentation(words: str) -> documentation_dataset.DocumentationDatasetFacet:
    """Return the documentation facet of a dataset."""
    return documentation_dataset.DocumentationDatasetFacet(words, producer=PRODUCER)
