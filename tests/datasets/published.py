"""A small published warehouse written by hand, without a build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from energywh.core.paths import Home
from energywh.models.contents.schema import FORMAT

META = f"""
CREATE SCHEMA seeds; CREATE SCHEMA normalized; CREATE SCHEMA features; CREATE SCHEMA energywh;
CREATE TABLE energywh.version (as_of_utc TIMESTAMP, knowledge VARCHAR, format INTEGER);
INSERT INTO energywh.version VALUES (NULL, NULL, {FORMAT});
CREATE TABLE energywh.watermark (
    dataset VARCHAR, landing_id BIGINT, landed_at_utc TIMESTAMP, newest_hour_utc TIMESTAMP);
INSERT INTO energywh.watermark VALUES
    ('eia.region_data', 7, '2023-04-01 06:00', '2023-03-31 23:00'),
    ('eia.fuel_type_data', 6, '2023-04-01 05:00', '2023-03-31 22:00');
CREATE TABLE energywh.model (
    name VARCHAR, materialized VARCHAR, grain VARCHAR[], time_column VARCHAR, lookahead_hours BIGINT,
    lookback_hours BIGINT, sql_hash VARCHAR DEFAULT 'sql', file_hash VARCHAR DEFAULT 'file');
CREATE TABLE energywh.dependency (model VARCHAR, upstream VARCHAR);
CREATE TABLE energywh.month (model VARCHAR, month DATE, rows BIGINT, digest VARCHAR);
CREATE TABLE energywh.seed (name VARCHAR, file_hash VARCHAR, rows BIGINT, digest VARCHAR);
CREATE VIEW energywh.digest AS
    SELECT name, string_agg(concat(month, digest) ORDER BY month) AS digest
    FROM energywh.model LEFT JOIN energywh.month ON month.model = name GROUP BY name
    UNION ALL SELECT name, digest FROM energywh.seed;
"""

DEMO = """
CREATE TABLE normalized.region AS
    SELECT * FROM (VALUES ('BPAT', 'authority'), ('CISO', 'authority'), ('US48', 'aggregate')) AS seed (region, kind);
COMMENT ON TABLE normalized.region IS 'Every balancing authority and aggregate.';

CREATE TABLE features.hourly AS
SELECT
    region, hour_utc,
    CASE region WHEN 'CISO' THEN 20000 WHEN 'BPAT' THEN 6000 ELSE 400000 END + hour AS demand_mwh,
    sin(hour * pi() / 12) AS hour_sin,
    hour % 24 = 0 AS is_midnight,
    'text' AS note
FROM (SELECT i AS hour, TIMESTAMP '2023-01-01' + to_hours(i::INTEGER) AS hour_utc FROM range({hours}) AS t (i))
CROSS JOIN (VALUES ('BPAT'), ('CISO'), ('US48')) AS r (region)
ORDER BY region, hour_utc;
COMMENT ON TABLE features.hourly IS 'One row an hour and region.';
COMMENT ON COLUMN features.hourly.demand_mwh IS 'Demand, MWh.';

CREATE VIEW features.evening AS SELECT * FROM features.hourly WHERE hour(hour_utc) >= 18;
INSERT INTO energywh.model (name, materialized, grain, time_column, lookahead_hours, lookback_hours) VALUES
    ('normalized.region', 'table', ['region'], NULL, 0, 0),
    ('features.hourly', 'table', ['region', 'hour_utc'], 'hour_utc', 24, 100),
    ('features.evening', 'view', ['region', 'hour_utc'], 'hour_utc', 5, 10);
INSERT INTO energywh.dependency VALUES
    ('features.evening', 'features.hourly'), ('features.hourly', 'staging.eia.region_data');
"""

DIGESTS = "INSERT INTO energywh.month\n" + "\nUNION ALL ".join(
    f"SELECT '{model}', {month} AS month, count(*), sum(hash(source))::VARCHAR FROM {model} AS source GROUP BY 2"
    for model, month in (
        ("features.hourly", "date_trunc('month', hour_utc)::DATE"),
        ("features.evening", "date_trunc('month', hour_utc)::DATE"),
        ("normalized.region", "NULL::DATE"),
    )
)


def publish(home: Home, statements: Sequence[str], number: int = 1) -> Path:
    """Write version ``number`` by ``statements`` and move the link to it."""
    home.create()
    home.versions.mkdir(exist_ok=True)
    file = home.versions / f"energy-20240101T000000Z-{number}.duckdb"
    with duckdb.connect(file) as connection:
        for statement in (META, *statements):
            connection.execute(statement)
    link = home.energy.with_suffix(".next")
    link.symlink_to(file.relative_to(home.path))
    link.replace(home.energy)
    return file


def publish_demo(home: Home, hours: int = 24 * 90, number: int = 1, then: Sequence[str] = ()) -> Path:
    """Publish three regions (one of them an aggregate) from 2023-01-01, changed by the statements ``then``."""
    # A statement that alters the table has to drop the view first.
    evening = "CREATE VIEW IF NOT EXISTS features.evening AS SELECT * FROM features.hourly WHERE hour(hour_utc) >= 18"
    return publish(home, [DEMO.format(hours=hours), *then, evening, DIGESTS], number)
