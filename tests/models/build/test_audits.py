"""Audits: a broken promise keeps a version from being published; what did not change is not checked again."""

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from energywh.errors import AuditError, ModelError
from energywh.models.build import audits
from energywh.models.contents.state import AuditResult
from energywh.models.project.model import Model
from tests.models.folder import Desk, model


def small(tmp_path: Path, **models: str) -> Desk:
    """Return a desk with models `n.<name>` of the given text."""
    return Desk(tmp_path, {f"n/{name}.sql": text for name, text in models.items()})


@pytest.mark.parametrize(
    ("audit", "rows"),
    [
        ('unique = ["a"]', 1),
        ('not_null = ["a", "b"]', 1),
        ('accepted_values = { column = "b", values = ["x", "y"] }', 1),
        ('range = { column = "a", min = 2 }', 2),
        ('range = { column = "a", max = 2.5 }', 1),
        ('sql = "select * from n.x where a > 2; "', 1),
    ],
)
def test_an_audit_that_fails_leaves_what_was_published_and_a_warning_does_not(
    tmp_path: Path, audit: str, rows: int
) -> None:
    bad = "select a, b from (values (1, 'x'), (1, 'q'), (3, NULL)) t(a, b)"
    desk = small(tmp_path, x=model("select 2 as a, 'x' as b", "a b", audits=f"[[audits]]\n{audit}"))
    desk.build()
    before = desk.versions()
    desk.write("n/x.sql", model(bad, "a b", audits=f"[[audits]]\n{audit}"))
    with pytest.raises(AuditError) as caught:
        desk.build()
    assert f"{rows} row" in str(caught.value)
    assert "n/x.sql:9: " in str(caught.value)
    assert "a = " in str(caught.value) or "b = " in str(caught.value)
    assert desk.versions() == before

    desk.write("n/x.sql", model(bad, "a b", audits=f'[[audits]]\n{audit}\nseverity = "warn"'))
    report = desk.build()
    assert [(warning.model, warning.failures) for warning in report.warnings] == [("n.x", rows)]
    assert desk.query("SELECT severity, failures FROM energywh.audit") == [("warn", rows)]


def test_an_audit_runs_again_when_another_table_that_it_reads_changes(tmp_path: Path) -> None:
    audit = '[[audits]]\nsql = "select a from n.x where a not in (select a from n.y)"'
    desk = small(tmp_path, x=model("select 1 as a", audits=audit), y=model("select 1 as a"))
    desk.build()
    desk.write("n/y.sql", model("select 2 as a"))
    with pytest.raises(AuditError, match="audit sql 1"):
        desk.build()


def test_audits_that_share_a_scan_are_told_apart(tmp_path: Path) -> None:
    def listed(severity: str) -> str:
        kinds = (
            'not_null = ["b"]',
            'range = { column = "a", min = 2, max = 3 }',
            'accepted_values = { column = "b", values = ["x"] }',
        )
        return "\n".join(f'[[audits]]\n{kind}\nseverity = "{severity}"' for kind in kinds)

    bad = "select a, b from (values (1, 'x'), (2, NULL), (4, NULL)) t(a, b)"
    desk = small(tmp_path, x=model(bad, "a b", audits=listed("warn")))
    report = desk.build()
    assert {warning.audit: warning.failures for warning in report.warnings} == {"not_null(b)": 2, "range(a)": 2}
    assert desk.query("SELECT audit, failures FROM energywh.audit ORDER BY ALL") == [
        ("accepted_values(b)", 0),
        ("not_null(b)", 2),
        ("range(a)", 2),
    ]
    desk.write("n/x.sql", model(bad.replace("1, 'x'", "2, 'x'"), "a b", audits=listed("error")))
    with pytest.raises(AuditError, match=r"n/x\.sql:9: 2 rows of n\.x break the audit not_null\(b\)"):
        desk.build()


def test_an_audit_of_rows_that_are_as_they_were_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warn = '[[audits]]\nrange = { column = "a", min = 2 }\nseverity = "warn"'
    desk = small(tmp_path, x=model("select a from n.y", audits=warn), y=model("select 1 as a, 2 as b", "a b"))
    desk.build()
    run_audit, ran = audits.run_audit, []

    def counted(connection: duckdb.DuckDBPyConnection, model_: Model, *words: Any, **named: Any) -> AuditResult:
        ran.append(model_.name)
        return run_audit(connection, model_, *words, **named)

    monkeypatch.setattr(audits, "run_audit", counted)
    desk.write("n/y.sql", model("select 1 as a, 3 as b", "a b"))  # n.x is computed, and is as it was
    assert [result.name for result in desk.build().models if result.built] == ["n.y", "n.x"]
    assert ran == []
    assert desk.query("SELECT model, failures FROM energywh.audit") == [("n.x", 1)]
    desk.build("n.x", full=True)
    assert ran == ["n.x"]


def test_duplicates_are_found_when_only_their_month_is_built(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 10)
    desk.build()
    for number in range(3, 9):
        desk.land_demand(date(2024, number, 1), 1)
    desk.build()
    desk.land(
        "INSERT INTO eia.region_data FROM eia.region_data WHERE period = '2024-05-01 02:00:00'",
        changes={"eia.region_data": [date(2024, 5, 1)]},
    )
    with pytest.raises(AuditError, match=r"2 rows of normalized\.demand break the audit unique"):
        desk.build()


def test_an_audit_of_check_alone_is_kept_by_a_build_and_not_run(tmp_path: Path) -> None:
    audit = '[[audits]]\nname = "low"\nwhen = "check"\nsql = "select a from n.x where a < 5"'
    desk = small(tmp_path, x=model("select 2 as a", audits=audit))
    assert desk.build().warnings == []
    kept = desk.query("SELECT audit, severity, failures, run_by, source_sql FROM energywh.audit")
    assert kept == [("low", "error", None, "check", "select a from n.x where a < 5")]
    desk.write("n/x.sql", model("select 2 as a", audits='[[audits]]\nnot_null = ["a"]\nwhen = "check"'))
    desk.build()
    assert desk.query("SELECT audit, failures FROM energywh.audit") == [("not_null(a)", None)]

    desk.write("n/x.sql", model("select 2 as a", audits=audit.replace("a < 5", "b < 5")))
    with pytest.raises(ModelError, match=r'x.sql:10: audit low of n.x failed: .*"b" not found'):
        desk.build()
