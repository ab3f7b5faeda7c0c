"""A sync as an OpenLineage run: of each dataset the route it is read from, and the staging table it lands in."""

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
from energywh.integrations.openlineage.events import PRODUCER, End, JobRun, begin, database, ending, schema

if TYPE_CHECKING:
    from energywh.config.settings import Settings
    from energywh.integrations.openlineage import Target
    from energywh.sources.base import Dataset
    from energywh.sync.progress import Tally
    from energywh.sync.runner import SyncResult
    from energywh.sync.selection import Selection


def told(
    target: Target,
    settings: Settings,
    selection: Selection,
    say: Callable[[str], None],
    work: Callable[[], SyncResult],
) -> SyncResult:
    """Do ``work`` between the events that tell of it."""
    datasets = {dataset.name: dataset for dataset in selection.datasets}
    begun = begin(
        target,
        say,
        lambda mailbox: JobRun(
            mailbox,
            "sync",
            "SYNC",
            description="Fetches what is due from the sources and lands it in the staging database.",
            engine=duckdb.__version__,
            inputs=_inputs(settings, datasets.values()),
            outputs=_outputs(settings, datasets.values()),
        ),
    )
    if begun is None:
        return work()
    mailbox, run = begun
    with ending(run, mailbox):
        result = work()
        with mailbox.harmless():
            tallies = {tally.dataset: tally for tally in result.tallies if tally.due}
            due = [datasets[name] for name in tallies]
            state: End = "ABORT" if result.interrupted else "FAIL" if result.errors else "COMPLETE"
            run.end(
                state,
                error="\n".join(result.errors),
                inputs=_inputs(settings, due, tallies),
                outputs=_outputs(settings, due, tallies),
            )
    return result


def _inputs(
    settings: Settings, datasets: Iterable[Dataset], tallies: dict[str, Tally] | None = None
) -> list[InputDataset]:
    """Return the datasets at their sources, with the rows read where ``tallies`` know them."""
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
    """Return the staging tables, with the rows written where ``tallies`` know them."""
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
