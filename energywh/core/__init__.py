"""What every room stands on: DuckDB, files, locks, paths, time and warnings."""
