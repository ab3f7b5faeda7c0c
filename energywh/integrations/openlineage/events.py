"""Runs of jobs as OpenLineage events, and the thread that delivers them.

Each run is told of by one START and exactly one of COMPLETE, FAIL and ABORT, as the standard asks.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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

import energywh
from energywh.config.settings import without_secrets

if TYPE_CHECKING:
    from energywh.integrations.openlineage import Target

PRODUCER = f"urn:energywh:{energywh.__version__}"
ENDPOINT = "api/v1/lineage"  # the standard's own, where the address names none
SEND_SECONDS = 3.0  # for an endpoint to take one event
CLOSE_SECONDS = 5.0  # that a sync or build waits, at most, for what is not delivered when it ends

_LOST = "warning: OpenLineage events are lost"

End = Literal["COMPLETE", "FAIL", "ABORT"]


def now() -> str:
    """Return the present moment as an event has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Mailbox:
    """Delivers events in a thread of its own. What fails once is not tried again in this run."""

    def __init__(self, target: Target, say: Callable[[str], None]) -> None:
        self.target = target
        self._say = say
        self._events: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._clients = dict(_clients(target))
        self._troubles: list[str] = []
        self._thread = threading.Thread(target=self._deliver, name="energywh-openlineage", daemon=True)
        self._thread.start()

    def put(self, event: RunEvent) -> None:
        """Take an event; never waits."""
        self._events.put(event)

    @contextmanager
    def harmless(self) -> Iterator[None]:
        """Make events in this block; whatever goes wrong there, the work goes on."""
        try:
            yield
        except Exception as error:
            self._troubles.append(_unexpected(error))

    def close(self) -> None:
        """Wait a moment for what is not delivered yet, and say what could not be."""
        self._events.put(None)
        self._thread.join(CLOSE_SECONDS)
        for trouble in dict.fromkeys(self._troubles):
            self._say(f"{_LOST}: {trouble}")
        if self._thread.is_alive():
            self._say(f"{_LOST}: not all were taken within {CLOSE_SECONDS:g} s")

    def _deliver(self) -> None:
        while (event := self._events.get()) is not None:
            for place, client in list(self._clients.items()):
                try:
                    client.emit(event)
                except Exception as error:  # whatever it is, the work goes on
                    del self._clients[place]
                    self._troubles.append(f"{place}: {_why(error)}")


def _clients(target: Target) -> Iterator[tuple[str, OpenLineageClient]]:
    """Yield a client a place, under the name of the place as it may be printed."""
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
    """Return what is said of an error of ours, without its text, which may hold the address."""
    return f"unexpected {type(error).__name__}; please report it"


def _why(error: Exception) -> str:
    """Return what went wrong, without the address, which errors of requests hold."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # of the file
        error = error.__cause__  # type: ignore[assignment]
    return getattr(error, "strerror", None) or type(error).__name__


class JobRun:
    """One run of a job: its START, and its end.

    Args:
        name: of the job, such as `build` or `build.normalized.demand`.
        kind: what the standard calls the type of a job, such as SYNC or MODEL.
        engine: version of DuckDB.
        started_at: when it began; by default now.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        name: str,
        kind: str,
        *,
        description: str = "",
        engine: str = "",
        sql: str = "",
        parent: JobRun | None = None,
        inputs: Iterable[InputDataset] = (),
        outputs: Iterable[OutputDataset] = (),
        started_at: str = "",
    ) -> None:
        self._mailbox = mailbox
        self._target = mailbox.target
        self._name = name
        self._run_id = str(generate_new_uuid())
        self._parent = parent
        self._ended = False
        self._job_facets: dict[str, JobFacet] = {
            "jobType": job_type_job.JobTypeJobFacet("BATCH", "ENERGYWH", kind, producer=PRODUCER),
        }
        if description:
            words = documentation_job.DocumentationJobFacet(description, producer=PRODUCER)
            self._job_facets["documentation"] = words
        if sql:
            query = self._target.redacted(sql)
            self._job_facets["sql"] = sql_job.SQLJobFacet(query, "duckdb", producer=PRODUCER)
        self._engine = engine
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
        """Tell how the run ended; once only. The inputs are those of the start, unless others are given."""
        if not self._ended:
            self._ended = True
            with self._mailbox.harmless():
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
        if self._engine:
            engine = processing_engine_run.ProcessingEngineRunFacet(self._engine, "DuckDB", producer=PRODUCER)
            facets["processing_engine"] = engine
        if (parent := self._parent) is not None:
            job = parent_run.Job(self._target.namespace, parent._name)
            facets["parent"] = parent_run.ParentRunFacet(parent_run.Run(parent._run_id), job, producer=PRODUCER)
        if error:
            text = self._target.redacted(error)
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(text, "PYTHON", producer=PRODUCER)
        self._mailbox.put(
            RunEvent(
                eventType=state,
                eventTime=moment,
                producer=PRODUCER,
                run=Run(self._run_id, facets),
                job=Job(self._target.namespace, self._name, dict(self._job_facets)),
                inputs=list(inputs),
                outputs=list(outputs),
            )
        )


def begin(
    target: Target, say: Callable[[str], None], start: Callable[[Mailbox], JobRun]
) -> tuple[Mailbox, JobRun] | None:
    """Return a mailbox, and the run that ``start`` begins; None, and a warning, where either fails.

    What is to be told of then goes on untold.
    """
    try:
        mailbox = Mailbox(target, say)
    except Exception as error:
        say(f"{_LOST}: {_unexpected(error)}")
        return None
    with mailbox.harmless():
        return mailbox, start(mailbox)
    mailbox.close()
    return None


@contextmanager
def ending(run: JobRun, mailbox: Mailbox) -> Iterator[None]:
    """End ``run`` with FAIL or ABORT when the block raises, and deliver what there is when it ends."""
    try:
        yield
    except KeyboardInterrupt:
        run.end("ABORT")
        raise
    except BaseException as error:
        run.end("FAIL", error=message(error))
        raise
    finally:
        mailbox.close()


def message(error: BaseException) -> str:
    """Return what an error says."""
    return str(error) or type(error).__name__


def database(file: Path) -> str:
    """Return the namespace of the tables in a DuckDB file."""
    return f"duckdb://{file.absolute()}"


def schema(columns: Iterable[tuple[str, str, str]]) -> schema_dataset.SchemaDatasetFacet:
    """Return the facet of columns, each a name, a type and a description (or nothing)."""
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=kind, description=words or None)
        for name, kind, words in columns
    ]
    return schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)


def documentation(words: str) -> documentation_dataset.DocumentationDatasetFacet:
    """Return the facet of what a dataset is."""
    return documentation_dataset.DocumentationDatasetFacet(words, producer=PRODUCER)
