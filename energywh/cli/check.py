"""`energywh check`: find what is wrong with the published data, where and since when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from energywh.cli.output import print_table
from energywh.core.wording import count

if TYPE_CHECKING:
    from datetime import datetime

    from energywh.cli import Session
    from energywh.models.catalog.check import Finding

SHOWN_REGIONS = 6
SHOWN_VALUES = 8


@click.command()
@click.argument("rules", nargs=-1, metavar="[RULE|MODEL…]")
@click.option("--region", "regions", multiple=True, metavar="CODE", help="Only these; repeat, or separate by commas.")
@click.option("--since", metavar="TIME", help="Only findings that last until this UTC day or hour, or longer.")
@click.option(
    "--severity",
    type=click.Choice(["error", "warn"]),
    default="warn",
    show_default=True,
    help="Run rules of this severity, and worse ones.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warn"]),
    default="error",
    show_default=True,
    help="Exit with 1 when a rule of this severity, or a worse one, is broken.",
)
@click.option("--version", "kept", metavar="VERSION", help="Check a kept version, or a warehouse file.")
@click.option("--now", metavar="TIME", help="Judge lateness as at this UTC hour [the present].")
@click.option(
    "--digests", is_flag=True, help="Compare all rows with what the build wrote, also where nothing wrote to the file."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the rules that hold.")
@click.pass_obj
def check(
    session: Session,
    rules: tuple[str, ...],
    regions: tuple[str, ...],
    since: str | None,
    severity: str,
    fail_on: str,
    kept: str | None,
    now: str | None,
    digests: bool,
    as_json: bool,
) -> int:
    """Run all audits and data-quality rules on the published warehouse and print what is broken, the worst first.

    RULE is a rule of docs/data-quality.md (late, open_gap), or digest: the rows are those that the build wrote. If
    another program wrote to the file since, that rule names the tables and months that it changed. MODEL stands for all
    rules of a model. Printed for each
    broken rule: its regions, since when and until when (UTC, start of the hour), how many rows, and one of them. With
    --region and --since, rules whose rows name no region or no hour find nothing.

    The exit status is 0 when no rule of severity error is broken, 1 when one is or cannot be run (with --fail-on warn:
    any rule), or when nothing is built yet.
    """
    from energywh.core.interrupt import interruptible
    from energywh.core.time import parse_hour, utc_now
    from energywh.models.catalog import check as checking
    from energywh.regions import find_respondent
    from energywh.warehouse import Warehouse

    wanted = {find_respondent(code).code for item in regions for code in item.split(",") if code.strip()}
    first = None if since is None else parse_hour(since, what="--since")
    moment = utc_now() if now is None else parse_hour(now, what="--now")
    with Warehouse(session.home, kept) as warehouse, interruptible(warehouse.connection):
        connection = warehouse.catalog_connection
        known = checking.rules_of(connection) + checking.digest_rules(connection)
        if kept is None and session.home.staging.exists():
            warehouse.attach_staging()
            known += checking.payload_rules(connection, rules)
        chosen = checking.pick_rules(known, rules, severity)
        of_digests = [rule for rule in chosen if rule.name == checking.DIGEST and not wanted]
        findings = checking.check_digests(connection, warehouse.path, of_digests, since=first, always=digests)
        of_rows = [rule for rule in chosen if rule.name != checking.DIGEST]
        findings += checking.check(connection, of_rows, now=moment, regions=wanted, since=first)
        findings = checking.worst_first(findings)
        version = warehouse.version
    broken = [finding for finding in findings if not finding.holds]
    if as_json:
        document = {
            "version": version,
            "checked_at_utc": moment,
            "rules": len(findings),
            "broken": len(broken),
            "findings": [_as_json(finding) for finding in findings],
        }
        click.echo(json.dumps(document, default=_plain, indent=1, ensure_ascii=False))
    else:
        if broken:
            _print(broken)
        errors = sum(finding.severity == "error" for finding in broken)
        warnings = len(broken) - errors
        click.echo(
            f"{version}: {count(len(findings), 'rule')} checked, {len(findings) - len(broken):,} hold, "
            f"{count(errors, 'error')}, {count(warnings, 'warning')}"
        )
    counted = ("error", "warn") if fail_on == "warn" else ("error",)
    return 1 if any(finding.severity in counted for finding in broken) else 0


def _print(findings: list[Finding]) -> None:
    rows = [
        (
            finding.severity,
            f"{finding.rule.model}\n{finding.rule.name}",
            f"cannot be run: {finding.trouble}" if finding.trouble else finding.rule.words,
            _regions(finding.regions),
            _hour(finding.first_hour_utc),
            "still" if finding.first_hour_utc and not finding.last_hour_utc else _hour(finding.last_hour_utc),
            f"{finding.rows:,}",
            _example(finding),
        )
        for finding in findings
    ]
    columns = ("severity", "rule", "what is wrong", "regions", "since", "until", "rows", "such as")
    print_table(columns, rows, right=("rows",), wrap=("what is wrong", "regions", "such as"))


def _example(finding: Finding) -> str:
    """Return every series that is meant, else the first values of one row; NULL is shown only where all are."""
    if finding.series:
        return ", ".join(finding.series)
    row = finding.sample[0] if finding.sample else {}
    held = {name: value for name, value in row.items() if value is not None} or row
    shown = [f"{name} = {_shown(value)}" for name, value in list(held.items())[:SHOWN_VALUES]]
    return ", ".join(shown) + (", …" if len(held) > SHOWN_VALUES else "")


def _regions(codes: tuple[str, ...]) -> str:
    shown = ", ".join(codes[:SHOWN_REGIONS])
    return shown + (f" and {len(codes) - SHOWN_REGIONS:,} more" if len(codes) > SHOWN_REGIONS else "")


def _hour(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H}" if moment else "-"


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:,.10g}"
    return f"{value:%Y-%m-%dT%H}" if hasattr(value, "hour") else str(value)


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule.name,
        "model": finding.rule.model,
        "severity": finding.severity,
        "status": "not run" if finding.trouble else "holds" if finding.holds else "broken",
        "words": finding.rule.words,
        "rows": finding.rows,
        "regions": finding.regions,
        "first_hour_utc": finding.first_hour_utc,
        "last_hour_utc": finding.last_hour_utc,
        "sample": finding.sample,
        "series": finding.series,
        "trouble": finding.trouble or None,
    }


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
