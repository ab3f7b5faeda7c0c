"""The OpenLineage run of a sync: its inputs are the routes of the sources, its outputs the staging tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import duckdb
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    datasource_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
)
from openlineage.client.generated.base import InputDatasetFacet, OutputDatasetFacet

from energywh.config.settings import without_secrets
from energywh.integrations.openlineage.job_runs import (
    PRODUCER,
    End,
    EventSender,
    JobFacts,
    JobRun,
    begin,
    database,
    end_failed,
    ending,
    schema,
)
from energywh.sync.events import SyncEnded, SyncEvent, SyncFailed, SyncStarted

if TYPE_CHECKING:
    from energywh.config.settings import Settings
    from energywh.integrations.openlineage import Target
    from energywh.sources.base import Dataset
    from energywh.sync.progress import Tally
    from energywh.sync.result import SyncResult
    from energywh.sync.selection import Selection


class OpenLineageSync:
    """A listener that sends the OpenLineage events of one sync.

    Args:
        say: takes a warning for the user, where events are lost.
    """

    def __init__(self, target: Target, say: Callable[[str], None]) -> None:
        self._target = target
        self._say = say
        self._sender: EventSender | None = None  # None: the sync runs without events

    def __call__(self, event: SyncEvent) -> None:
        if isinstance(event, SyncStarted):
            self._begin(event.settings, event.selection)
        if self._sender is None:
            return
        match event:
            case SyncFailed(error):
                with ending(self._run, self._sender):
                    end_failed(self._run, error)
            case SyncEnded(result):
                with ending(self._run, self._sender), self._sender.errors_as_warnings():
                    self._ended(result)

    def _begin(self, settings: Settings, selection: Selection) -> None:
        self._settings = settings
        self._datasets = {dataset.name: dataset for dataset in selection.datasets}
        begun = begin(
            self._target,
            self._say,
            lambda sender: JobRun(
                sender,
                JobFacts(
                    "sync",
                    "SYNC",
                    "Fetches what is due from the sources and lands it in the staging database.",
                    engine=duckdb.__version__,
                ),
                inputs=_inputs(settings, selection.datasets),
                outputs=_outputs(settings, selection.datasets),
            ),
        )
        if begun is not None:
            self._sender, self._run = begun

    def _ended(self, result: SyncResult) -> None:
        tallies = {tally.dataset: tally for tally in result.tallies if tally.due}
        due = [self._datasets[name] for name in tallies]
        state: End = "ABORT" if result.interrupted else "FAIL" if result.errors else "COMPLETE"
        self._run.end(
            state,
            error="\n".join(result.errors),
            inputs=_inputs(self._settings, due, tallies),
            outputs=_outputs(self._settings, due, tallies),
        )


def _inputs(
    settings: Settings, datasets: Iterable[Dataset], tallies: dict[str, Tally] | None = None
) -> list[InputDataset]:
    """Return the datasets at their sources, with the number of rows read if ``tallies`` are given."""
    found = []
    for dataset in datasets:
        address = without_secrets(str(settings.get(f"{dataset.source}.url")))
        facet = datasource_dataset.DatasourceDatasetFacet(dataset.source, address, producer=PRODUCER)
        read: dict[str, InputDatasetFacet] = {}
        if tallies is not None:
            rows = tallies[dataset.name].counts.rows
            read["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                rowCount=rows, producer=PRODUCER
            )
        found.append(InputDataset(address, dataset.name, facets={"dataSource": facet}, inputFacets=read))
    return found


def _outputs(
    settings: Settings, datasets: Iterable[Dataset], tallies: dict[str, Tally] | None = None
) -> list[OutputDataset]:
    """Return the staging tables, with the number of rows written if ``tallies`` are given."""
    found = []
    for dataset in datasets:
        columns = [
            (dataset.time_column, "TIMESTAMP", ""),
            *((key, "VARCHAR", "") for key in dataset.keys),
            *((value, "DOUBLE", "") for value in dataset.values),
        ]
        written: dict[str, OutputDatasetFacet] = {}
        if tallies is not None:
            counts = tallies[dataset.name].counts
            written["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=counts.new + counts.changed, producer=PRODUCER
            )
        found.append(
            OutputDataset(
                database(settings.home.staging),
                dataset.name,
                facets={"schema": schema(columns)},
                outputFacets=written,
            )
        )
    return found
