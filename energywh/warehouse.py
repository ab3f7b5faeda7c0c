"""The published warehouse, opened for reading: SQL, training windows, the latest hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.locks import DEFAULT_WAIT_SECONDS, OnWait, Patience, patient
from energywh.core.paths import Home
from energywh.core.query import ask
from energywh.core.sandbox import everything_but, restrict
from energywh.errors import StorageError, UsageError
from energywh.models.contents.state import check_schema
from energywh.models.versions.opening import open_current, open_version
from energywh.models.versions.publish import current_version
from energywh.models.versions.records import require_unchanged

if TYPE_CHECKING:
    import duckdb

    from energywh.datasets.stored.plan import OnStep
    from energywh.datasets.stored.writer import MadeDataset
    from energywh.datasets.windows.backends import Backend, Memmap
    from energywh.datasets.windows.folds import Folds
    from energywh.datasets.windows.latest import Context, Scales
    from energywh.datasets.windows.scaler import Normalize
    from energywh.datasets.windows.spec import DType, Gaps, Moment, Names, Purge, RegionEncoding, WindowSpec
    from energywh.datasets.windows.splits import Splits
    from energywh.datasets.windows.windows import Windows
    from energywh.models.build.as_of import Knowledge


class Warehouse:
    """One version, by default the newest, which stays the same while it is open, whatever is built meanwhile.

    A context manager: ``with energywh.open() as warehouse: ...``. One thread at a time.
    """

    def __init__(
        self, home: Home, version: str | Path | None = None, patience: Callable[[], Patience] | None = None
    ) -> None:
        self.home = home
        self._patience = patience  # None: that of the caller
        self._pinned = version is not None
        self._connection: duckdb.DuckDBPyConnection | None
        with self._patient():
            self._path, self._connection = open_current(home) if version is None else open_version(home, version)

    @property
    def version(self) -> str:
        """Name of the version that is open, such as ``energy-20261101T060000Z-1``."""
        return self._path.stem

    @property
    def path(self) -> Path:
        """The DuckDB file of the version that is open."""
        return self._path

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The read-only DuckDB connection.

        Raises:
            StorageError: the warehouse was closed.
        """
        if self._connection is None:
            raise StorageError(f"the warehouse {self.home.path} is closed; open it again with energywh.open()")
        return self._connection

    @property
    def catalog_connection(self) -> duckdb.DuckDBPyConnection:
        """The connection; StorageError if the version has another schema, of which only SQL can read the tables."""
        check_schema(self.connection, self._path)
        return self.connection

    def close(self) -> None:
        """Close the file. Relations of `sql` can no longer be read; windows have their own data and stay usable."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Warehouse {self.home.path}, {self.version}{' (closed)' if self._connection is None else ''}>"

    def refresh(self) -> bool:
        """Open the newest version if another was published since, unless one was chosen; return whether it was."""
        if self._pinned or (current_version(self.home) == self._path and self._connection is not None):
            return False
        with self._patient():
            path, connection = open_current(self.home)
        self.close()
        self._path, self._connection = path, connection
        return True

    def restrict(self, *, files: bool = False, scratch: Sequence[Path] = ()) -> None:
        """Keep SQL from files, the network and DuckDB's settings until `close`; staging must be attached before.

        It holds for all that this process has open of the same version.

        Args:
            files: let SQL read the files of this machine, but the settings of the warehouse and the environment of
                processes, where keys are. `sql` still writes none.
            scratch: folders in which the caller writes itself.
        """
        restrict(self.connection, [*(everything_but([self.home.settings_file]) if files else ()), *scratch])

    def sql(self, query: str, params: Any = None) -> duckdb.DuckDBPyRelation:
        """Ask in SQL; time zone UTC.

        One query that reads, after any number of ``SET TimeZone = '...';``. It may read files, such as
        ``FROM 'mine.csv'``, but writes nothing: relations and `connection` do that. DuckDB fetches no extensions.

        Args:
            params: values of ``?`` or ``$name`` in the query, as a list or a dict.

        Returns:
            A DuckDB relation: ``.fetchall()``, ``.to_arrow_table()``, ``.fetchnumpy()``, ``.df()``, ...

        Raises:
            UsageError: wrong SQL, an unknown table or column, an attempt to write, or more than one statement.
            CorruptError: the version is damaged.
        """
        try:
            return ask(self.connection, query, params)
        except UsageError as error:
            from energywh.models.catalog.catalog import steps_named, unbuilt_named

            built = [name for (name,) in self.connection.execute("SELECT name FROM energywh.model").fetchall()]
            hints = steps_named(self.connection, query) + unbuilt_named(built, query)
            raise UsageError(f"{error}{hints}") from None

    def attach_staging(self, wait_seconds: float | None = None, on_wait: OnWait | None = None) -> None:
        """Make the staging tables readable as ``staging.<source>.<dataset>``; sync waits until `close`.

        Once attached it stays: to call this again does nothing.

        Raises:
            StorageError: there is no staging database, or it cannot be read.
            LockedError: another process still held it after ``wait_seconds``.
        """
        from energywh.models.contents.staging import attach_read_only

        if self.connection.execute("FROM duckdb_databases() WHERE database_name = 'staging'").fetchall():
            return
        file = self.home.staging
        if not file.exists():
            raise StorageError(f"there is no staging database at {file}: run 'energywh sync' first")
        with self._patient():
            attach_read_only(self.connection, file, "staging", wait_seconds=wait_seconds, on_wait=on_wait)

    def _patient(self) -> AbstractContextManager[None]:
        return patient(self._patience) if self._patience else nullcontext()

    def windows(
        self,
        source: str | WindowSpec,
        *,
        target: Names | None = None,
        length: int | None = None,
        stride: int | None = None,
        horizon: int = 0,
        regions: Names | None = None,
        features: Names | None = None,
        future_covariates: Names | None = None,
        region_encoding: RegionEncoding = "index",
        splits: Moment | Sequence[Moment] | None = None,
        borrow_context: bool = False,
        purge: Purge | None = None,
        gaps: Gaps = "mask",
        since: Moment | None = None,
        until: Moment | None = None,
        normalize: Normalize | None = None,
        holdout_regions: Names | None = None,
        dtype: DType = "float32",
        backend: Backend = "mlx",
        memmap: Memmap = False,
    ) -> Splits[Windows]:
        """Cut training windows: slices of consecutive hours of one region, over one array held in memory.

            train, valid, test = wh.windows("features.hourly", target="demand_mwh", length=8760, stride=24, horizon=24,
                                            splits=("2023-01-01", "2024-01-01"), borrow_context=True)

        One query loads (hours x features) float32 of all regions; memory grows with the data, not with the number of
        windows. `energywh.datasets.windows.windows` has the shapes of a batch.

        Args:
            source: a model, a query, or a `WindowSpec` in place of all arguments up to dtype.
            target, length, stride: must be given. `energywh.WindowSpec` documents all arguments up to dtype.
            backend: "mlx" for mx.array, "numpy" for NumPy arrays without MLX being imported.
            memmap: True lays the values into a file of the home's cache folder, for data that memory cannot hold: the
                same windows in the same order, each copied out when it is taken. Or the Path of another folder. The
                file has no name and is gone with the windows.

        Returns:
            The splits in order of time; without ``splits`` the one of all windows, ``.all``.

        Raises:
            UnknownNameError: no such model, column or region.
            UsageError: wrong SQL or arguments.
            StorageError: no room for memmap=True, or a folder that cannot be written to.
            WindowError: histories too short, duplicate hours, a column without values, MLX missing.
            TypeError: target, length or stride is missing, or an argument is unknown.
        """
        given = locals()  # the arguments are the fields of the struct: a test compares names and defaults
        from energywh.datasets.windows.spec import WindowSpec, spec_of
        from energywh.datasets.windows.windows import cut_windows

        spec = spec_of(WindowSpec, "windows", given)
        return cut_windows(self.catalog_connection, spec, backend=backend, memmap=memmap, cache=self.home.cache)

    def dataset(
        self,
        name: str,
        source: str | WindowSpec | None = None,
        *,
        target: Names | None = None,
        length: int | None = None,
        stride: int | None = None,
        horizon: int = 0,
        regions: Names | None = None,
        features: Names | None = None,
        future_covariates: Names | None = None,
        region_encoding: RegionEncoding = "index",
        splits: Moment | Sequence[Moment] | None = None,
        borrow_context: bool = False,
        purge: Purge | None = None,
        gaps: Gaps = "mask",
        since: Moment | None = None,
        until: Moment | None = None,
        normalize: Normalize | None = None,
        holdout_regions: Names | None = None,
        dtype: DType = "float32",
        formats: Names = (),
        full: bool = False,
        memory_limit: str = "1500MB",
        on_wait: OnWait | None = None,
        on_step: OnStep | None = None,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
    ) -> MadeDataset:
        """Make a stored dataset, the folder ``datasets/NAME`` of the home, or bring it up to date.

        It holds the windows that `windows` gives with the same arguments, and `energywh.load_dataset` reads them
        without the warehouse. ``wh.dataset("day-ahead")`` alone repeats the request that the dataset was made with, and
        writes only what changed since. `energywh.datasets.stored.manifest` lists what the folder holds.

        Args:
            name: letters, digits, "-", "_" and ".".
            source, target: as for `windows`; by default "features.hourly" and "demand_mwh".
            length, stride: as for `windows`, and so all others up to dtype; without splits it is one split, or two
                where regions are held out.
            formats: "npz" or "hdf5", beside the safetensors and Parquet that are always written.
            full: write every file again.
            memory_limit: what DuckDB may take, beside the values of one split; "" for its own limit.
            on_wait: called once with a sentence when another process is making the dataset.
            on_step: called with what is done now, how much of it is done, and of how much.

        Raises:
            UnknownNameError: no such model, column or region.
            UsageError: wrong SQL or arguments; or no length and stride, and there is no such dataset yet.
            WindowError: histories too short, duplicate hours, a column without values.
            LockedError: another process was making it for longer than ``wait_seconds``.
            StorageError: no room, or a folder that cannot be written to; the dataset is as it was.
            TypeError: an argument is unknown.
        """
        given = locals()
        from energywh.datasets.stored.spec import dataset_spec_of
        from energywh.datasets.stored.writer import MakeOptions, make_dataset

        require_unchanged(self._path)
        options = MakeOptions(full, memory_limit, wait_seconds, on_wait, on_step)
        return make_dataset(
            self.catalog_connection, self.home, name, dataset_spec_of(given), version=self.version, options=options
        )

    def folds(
        self,
        source: str | WindowSpec,
        *,
        target: Names | None = None,
        length: int | None = None,
        stride: int | None = None,
        horizon: int = 0,
        origins: Sequence[Moment] | None = None,
        first: Moment | None = None,
        every: str | None = None,
        history: str | None = None,
        regions: Names | None = None,
        features: Names | None = None,
        future_covariates: Names | None = None,
        region_encoding: RegionEncoding = "index",
        purge: Purge | None = None,
        gaps: Gaps = "mask",
        since: Moment | None = None,
        until: Moment | None = None,
        normalize: Normalize | None = None,
        holdout_regions: Names | None = None,
        dtype: DType = "float32",
        as_of: Knowledge | None = None,
        on_progress: Callable[[str], None] | None = None,
        backend: Backend = "mlx",
        memmap: Memmap = False,
    ) -> Folds:
        """Cut rolling-origin folds for a backtest; `energywh.datasets.windows.folds` draws them.

        ``for fold in wh.folds(...)`` gives ``fold.train``, ``fold.test`` and ``fold.origin``, over one array.

        Args:
            source, target, length, stride, horizon: as for `windows`, and so what is not listed here; a horizon of 1
                or more.
            origins: first hours of the tests, ascending; each test ends at the next origin, the last at the end.
            first, every: instead of these, the first of them and the time to the next, such as "30d".
            history: how much before its origin a fold trains on, such as "365d"; by default all.
            purge: hours left free before each origin; by default as for `windows`.
            normalize: as for `windows`; measured in the train of each fold, on a copy that goes with the fold.
            holdout_regions: regions to hold out: with windows in the tests alone.
            as_of: "landed" or "published-lag" to train each fold on what was known at its origin, as `energywh build
                --as-of --knowledge`; tests are of this version. A warehouse is built for each origin, from staging as
                it is now, and kept in the home's cache folder until this version goes; that takes as long as a full
                build. `energywh.datasets.windows.folds` says what was known means.
            on_progress: called with a sentence for each warehouse built, and for each wait, such as `print`.

        Raises:
            UnknownNameError: no such model, column or region.
            UsageError: wrong SQL or arguments; with ``as_of``, nothing was known at an origin, or no version of the
                home is open.
            WindowError: an origin outside the data, or a fold without a window to train or test.
            ModelError, AuditError: with ``as_of``, a model fails on what was known at an origin.
            StorageError, LockedError: with ``as_of``, staging is missing or in use for too long; or no room.
            TypeError: target, length or stride is missing, or an argument is unknown.
        """
        given = locals()
        from energywh.datasets.windows.folds import FoldOrigins, Folds
        from energywh.datasets.windows.spec import WindowSpec, spec_of

        spec = spec_of(WindowSpec, "folds", given)
        known = None
        if as_of is not None:
            from energywh.datasets.windows.as_of_warehouse import as_of_warehouses

            known = as_of_warehouses(self.home, self._path, self.catalog_connection, spec.source, as_of, on_progress)
        return Folds(
            self.catalog_connection,
            spec,
            FoldOrigins(origins, first, every, history),
            known=known,
            backend=backend,
            memmap=memmap,
            cache=self.home.cache,
        )

    def context(
        self,
        hours: int = 168,
        regions: Sequence[str] | str | None = None,
        source: str = "features.hourly",
        features: Sequence[str] | str | None = None,
        *,
        dtype: DType = "float32",
        backend: Backend = "mlx",
        scaler: Scales | None = None,
        now: datetime | None = None,
    ) -> Context:
        """Return the latest ``hours`` complete hours of each region, for inference.

        An hour is complete once every feature has arrived that the region reported at all of late, in its newest
        240 hours. A region with a shorter history than others is masked before it begins.

        Args:
            features: columns, by default all numeric ones; a trained model wants those of its training set, in their
                order: ``train.columns``.
            scaler: scales the values as those of the training set were; by default they are as the source has them.
            now: naive UTC moment from which the age is counted; by default the present.

        Raises:
            UnknownNameError: no such model, column or region.
            UsageError: wrong SQL or arguments.
            WindowError: no region has that many hours, duplicate hours, a value beyond float16, or MLX missing.
        """
        from energywh.datasets.windows.backends import arrays
        from energywh.datasets.windows.latest import latest

        return latest(
            self.catalog_connection,
            source,
            arrays(backend, dtype),
            hours=hours,
            regions=regions,
            features=features,
            scaler=scaler,
            now=now,
        )
