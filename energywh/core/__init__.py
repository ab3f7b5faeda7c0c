"""What every other package uses: DuckDB, files, locks, paths, time and warnings."""
