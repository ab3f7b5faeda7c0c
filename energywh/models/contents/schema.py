"""The tables of the schema `energywh`, in which a version records itself."""

# Raised when the tables below, the digests or the storage version change: the next build then computes everything.
FORMAT = 6
# Versions of this number and later have the tables below: the catalog, windows, exports and checks can read them.
OLDEST_READ = 5

SCHEMA = """
CREATE SCHEMA energywh;
CREATE TABLE energywh.version (
    version VARCHAR, built_at_utc TIMESTAMP, base_version VARCHAR, base_kind VARCHAR, landing_id BIGINT,
    energywh_version VARCHAR, duckdb_version VARCHAR, format INTEGER, options VARCHAR, as_of_utc TIMESTAMP,
    knowledge VARCHAR);
COMMENT ON TABLE energywh.version IS
    'The one row of this version. options (JSON) held; as_of_utc and knowledge are of a build --as-of, else NULL.';
CREATE TABLE energywh.watermark (
    dataset VARCHAR, landing_id BIGINT, landed_at_utc TIMESTAMP, newest_hour_utc TIMESTAMP);
COMMENT ON TABLE energywh.watermark IS
    'What staging held: of each dataset with rows the newest landing that changed it, and the newest hour.';
CREATE TABLE energywh.model (
    name VARCHAR, materialized VARCHAR, description VARCHAR, grain VARCHAR[], time_column VARCHAR,
    lookback_hours BIGINT, lookahead_hours BIGINT, refresh VARCHAR,
    sql_hash VARCHAR, file_hash VARCHAR, source_sql VARCHAR, rows BIGINT,
    landing_id BIGINT, landed_at_utc TIMESTAMP, staging_id VARCHAR, built_at_utc TIMESTAMP, seconds DOUBLE);
COMMENT ON TABLE energywh.model IS 'One row a model: what its file promises, and how far it has been built.';
CREATE TABLE energywh.seed (name VARCHAR, file_hash VARCHAR, rows BIGINT, digest VARCHAR);
COMMENT ON TABLE energywh.seed IS 'One row a seed.';
CREATE TABLE energywh."column" (
    model VARCHAR, name VARCHAR, position INTEGER, type VARCHAR, description VARCHAR, unit VARCHAR,
    rows_with_value BIGINT);
COMMENT ON TABLE energywh."column" IS
    'One row a column of a model; rows_with_value is 0 where it is NULL throughout, as when its source is not synced.';
CREATE TABLE energywh.month (model VARCHAR, month DATE, rows BIGINT, digest VARCHAR, held BIGINT[]);
COMMENT ON TABLE energywh.month IS
    'Digest of each month of a model (month NULL: of the whole of a model without time); equal digests, equal rows. '
    'held: in how many rows each column has a value, in the order of the columns.';
CREATE TABLE energywh.input (model VARCHAR, upstream VARCHAR, month DATE, digest VARCHAR);
CREATE VIEW energywh.digest AS
    SELECT name, sha256(coalesce(string_agg(concat(month, ' ', digest), ',' ORDER BY month), ''))[:16] AS digest
    FROM energywh.model LEFT JOIN energywh.month ON month.model = name GROUP BY name
    UNION ALL SELECT name, digest FROM energywh.seed;
COMMENT ON VIEW energywh.digest IS 'Digest of each table, models and seeds: where equal, so are all its rows.';
COMMENT ON TABLE energywh.input IS 'Digests of the upstream months that a model was built from.';
CREATE TABLE energywh.dependency (model VARCHAR, upstream VARCHAR);
COMMENT ON TABLE energywh.dependency IS 'What each model reads: models, seeds and staging tables.';
CREATE TABLE energywh.audit (
    model VARCHAR, audit VARCHAR, severity VARCHAR, failures BIGINT, sample VARCHAR, description VARCHAR,
    run_by VARCHAR, source_sql VARCHAR);
COMMENT ON TABLE energywh.audit IS
    'Result of each audit; a published version has failures in warnings only. failures is NULL where run_by is check:
energywh check runs these, and all others again. source_sql selects the rows that break the promise.';
CREATE TABLE energywh.left_out (model VARCHAR, reason VARCHAR, tried VARCHAR);
COMMENT ON TABLE energywh.left_out IS
    'Models and seeds of the user''s own that are not in this version, and why. tried: digest of all that they may have
failed by; while it stays the same they need not be tried again. NULL where it may have been something else.';
"""
