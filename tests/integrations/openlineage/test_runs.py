"""Events of failed and interrupted runs; a failure to send events fails no run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from energywh.errors import AuditError, ModelError, SettingsError
from energywh.integrations.openlineage import Target, sync_listeners
from energywh.integrations.openlineage.build_listener import OpenLineageBuild
from energywh.models.build.events import BuildEvent, BuildListener, ModelEnded
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from energywh.sources import load_settings
from energywh.sync.runner import SyncResult, sync
from energywh.sync.selection import parse_selection
from tests.integrations.openlineage.collector import collector
from tests.integrations.openlineage.event_checks import Event, ends, event, validate
from tests.models.folder import Desk as Models
from tests.models.folder import model
from tests.support.desk import KEY, Desk
from tests.support.scripted import Answer, scripted

OURS = {
    "n/a.sql": model("select 1 as a"),
    "n/b.sql": model("select a from n.a"),
    "n/c.sql": model("select a from n.b"),
}


@dataclass
class SentBuild:
    """A build whose events go to ``target``; `warnings` are what the user reads of them."""

    target: Target
    warnings: list[str] = field(default_factory=list)

    def run(self, desk: Models, *listeners: BuildListener, **options: object) -> BuildReport:
        words = BuildOptions(wait_seconds=30, **options)  # type: ignore[arg-type]
        events = OpenLineageBuild(self.target, self.warnings.append)
        return build(desk.home, sql=desk.sql, options=words, listeners=[events, *listeners])


def sync_sending(desk: Desk, stop: threading.Event | None = None) -> SyncResult:
    """Sync two days of one authority, and send the events where the desk's settings say."""
    settings = desk.settings()
    selection = parse_selection(["eia.region_data"], since="2024-01-01", until="2024-01-02", regions=["CISO"])
    return sync(settings, selection, stop=stop, listeners=sync_listeners(settings))


def events_in(file: Path) -> list[Event]:
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for each in found:
        validate(each)
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Models:
    return Models(tmp_path, OURS)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "events.jsonl", "", secrets=("sesame",))


def test_a_model_that_fails_fails_its_run_and_the_build_and_aborts_what_was_built(desk: Models, target: Target) -> None:
    desk.write("n/b.sql", model("select a from n.a where error('sesame opens it') is null"))
    with pytest.raises(ModelError):
        SentBuild(target).run(desk)
    events = events_in(target.file)  # type: ignore[arg-type]
    assert ends(events) == {"build": "FAIL", "build.n.a": "ABORT", "build.n.b": "FAIL"}
    for job in ("build", "build.n.b"):
        text = event(events, job)["run"]["facets"]["errorMessage"]["message"]
        assert "n.b failed" in text
        assert "REDACTED opens it" in text
    assert "sesame" not in json.dumps(events)


def test_an_audit_that_fails_fails_the_run_of_the_audits(desk: Models, target: Target) -> None:
    desk.write("n/b.sql", model("select a from n.a", audits="[[audits]]\nsql = 'from n.b'"))
    with pytest.raises(AuditError):
        SentBuild(target).run(desk)
    events = events_in(target.file)  # type: ignore[arg-type]
    assert ends(events) == {"build": "FAIL", "build.audit": "FAIL", "build.n.a": "ABORT"}


def test_a_model_of_the_users_own_that_fails_fails_alone(desk: Models, target: Target, tmp_path: Path) -> None:
    for name, text in {"z": model("select 'x'::int as a from n.c"), "y": model("select a from own.z")}.items():
        path = tmp_path / "mine" / "own" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    SentBuild(target).run(desk, models=(tmp_path / "mine",))
    events = events_in(target.file)  # type: ignore[arg-type]
    assert ends(events) == {
        **dict.fromkeys(("build", "build.audit", "build.n.a", "build.n.b", "build.n.c"), "COMPLETE"),
        "build.own.z": "FAIL",
    }


def test_an_interrupted_build_aborts(desk: Models, target: Target) -> None:
    def interrupt(event: BuildEvent) -> None:
        if isinstance(event, ModelEnded) and event.result.name == "n.b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SentBuild(target).run(desk, interrupt)
    assert set(ends(events_in(target.file)).values()) == {"ABORT"}  # type: ignore[arg-type]


def test_a_build_without_news_is_one_run(desk: Models, target: Target, tmp_path: Path) -> None:
    SentBuild(target).run(desk)
    again = Target(tmp_path / "again.jsonl", "")
    assert not SentBuild(again).run(desk).published
    assert ends(events_in(tmp_path / "again.jsonl")) == {"build": "COMPLETE"}


def test_only_the_months_that_changed_count_as_written(tmp_path: Path, target: Target) -> None:
    desk = Models(tmp_path)
    for month in range(1, 7):
        desk.land_demand(date(2024, month, 1), 10)
    desk.build()
    desk.land_demand(date(2024, 3, 1), 50)
    SentBuild(target).run(desk)
    (output,) = event(events_in(target.file), "build.normalized.demand")["outputs"]  # type: ignore[arg-type]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 48


def test_an_interrupted_sync_aborts_and_a_failed_one_fails(tmp_path: Path) -> None:
    body = json.dumps({"error": f"no such key {KEY}"}).encode()
    with scripted(lambda number, path: Answer(body, 403)) as server:
        desk = Desk(tmp_path, server.url).having(OPENLINEAGE_FILE=str(tmp_path / "failed.jsonl"))
        assert not sync_sending(desk).ok
        stopped = threading.Event()
        stopped.set()
        sync_sending(desk.having(OPENLINEAGE_FILE=str(tmp_path / "stopped.jsonl")), stopped)
    failed = events_in(tmp_path / "failed.jsonl")
    assert ends(failed) == {"sync": "FAIL"}
    assert event(failed, "sync")["run"]["facets"]["errorMessage"]["message"]
    assert KEY not in json.dumps(failed)
    assert ends(events_in(tmp_path / "stopped.jsonl")) == {"sync": "ABORT"}


@pytest.mark.parametrize("status", [401, 500])
def test_an_endpoint_that_refuses_costs_one_warning(desk: Models, status: int) -> None:
    with collector(status=status) as refusing:
        secret = f"{refusing.url}/lineage?key=sesame"
        sent = SentBuild(Target(None, secret))
        assert sent.run(desk).published
    assert sent.warnings == [f"warning: OpenLineage events are lost: {refusing.url}/lineage?REDACTED: HTTP {status}"]
    assert len(refusing.events) == 1


def test_an_endpoint_that_is_down_and_a_file_that_cannot_be_written_cost_a_warning_each(
    desk: Models, tmp_path: Path
) -> None:
    file = tmp_path / "none" / "events.jsonl"
    sent = SentBuild(Target(file, "http://user:sesame@127.0.0.1:1"))
    assert sent.run(desk).published
    assert sent.warnings == [
        f"warning: OpenLineage events are lost: {file}: No such file or directory",
        "warning: OpenLineage events are lost: http://REDACTED@127.0.0.1:1: ConnectionError",
    ]


def test_an_endpoint_that_is_slow_does_not_hold_up_the_build_for_long(
    desk: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("energywh.integrations.openlineage.job_runs.CLOSE_SECONDS", 0.5)
    with collector(seconds=20) as slow:
        began = time.monotonic()
        sent = SentBuild(Target(None, slow.url))
        sent.run(desk)
        with_events = time.monotonic() - began
    assert with_events < 20  # eight events, of twenty seconds each
    assert sent.warnings == ["warning: OpenLineage events are lost: not all were delivered within 0.5 s"]


def test_an_event_that_cannot_be_made_does_not_hurt_a_build_that_is_published(
    desk: Models, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise LookupError("of ours")

    monkeypatch.setattr("energywh.integrations.openlineage.build_listener._Version", broken)
    sent = SentBuild(target)
    assert sent.run(desk).published
    assert sent.warnings == ["warning: OpenLineage events are lost: unexpected LookupError; please report it"]
    assert event(events_in(target.file), "build")["eventType"] == "COMPLETE"  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["http://user:sesame@host:99999/", "http://user:sesame@[host"])
def test_an_address_that_cannot_be_read_is_refused_and_never_hurts(desk: Models, tmp_path: Path, address: str) -> None:
    settings = load_settings(tmp_path, environment={"ENERGYWH_OPENLINEAGE_URL": address})
    with pytest.raises(SettingsError, match=r"'openlineage\.url' is not an address") as refused:
        Target.of(settings)
    assert "sesame" not in str(refused.value)
    sent = SentBuild(Target(None, address))
    assert sent.run(desk).published
    (said,) = sent.warnings
    assert said.startswith("warning: OpenLineage events are lost: ")
    assert "sesame" not in said


def test_a_sync_continues_when_its_start_event_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: object) -> None:
        raise LookupError("sesame")

    monkeypatch.setattr("energywh.integrations.openlineage.sync_listener._inputs", broken)
    with scripted(lambda number, path: Answer(b"{}", 403)) as server:
        desk = Desk(tmp_path, server.url).having(OPENLINEAGE_FILE=str(tmp_path / "events.jsonl"))
        stopped = threading.Event()
        stopped.set()
        assert sync_sending(desk, stopped).interrupted
    assert not (tmp_path / "events.jsonl").exists()


def test_without_a_path_the_address_gets_the_standards_own(desk: Models) -> None:
    with collector() as taken:
        SentBuild(Target(None, taken.url)).run(desk)
    assert set(taken.paths) == {"/api/v1/lineage"}
    assert set(taken.keys) == {None}


def test_without_the_client_the_extra_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    desk = Desk(tmp_path, "http://127.0.0.1:1").having(OPENLINEAGE_FILE="x")
    for command in ("sync", "build"):
        done = desk.run(command)
        assert done.returncode == 2
        assert "pip install 'energywh[openlineage]'" in done.stderr
        assert "has been synced" not in done.stderr
    assert not desk.home.versions.exists()
    assert not desk.staging.exists()


def test_an_invalid_address_is_refused_without_being_shown(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environment={"ENERGYWH_OPENLINEAGE_URL": "kafka://me:sesame@broker?key=sesame"})
    with pytest.raises(SettingsError, match=r"must be an http\(s\) address, not 'kafka://REDACTED@broker\?REDACTED'"):
        Target.of(settings)
    assert "sesame" not in repr(Target(None, "http://me:sesame@host", api_key="sesame", secrets=("sesame",)))


def test_what_is_secret_in_an_address_is_redacted_and_a_name_of_a_letter_is_not(tmp_path: Path) -> None:
    address = "http://e:ses%40me@host/lineage?key=open%20it&v=1"
    target = Target.of(load_settings(tmp_path, environment={"ENERGYWH_OPENLINEAGE_URL": address}))
    assert target is not None
    assert target.redacted("select 1 as hour from demand") == "select 1 as hour from demand"
    redacted = target.redacted(f"{address}; ses@me, ses%40me; open it, open%20it")
    assert redacted == "http://REDACTEDhost/lineage?REDACTED; REDACTED, REDACTED; REDACTED, REDACTED"


def test_where_nothing_is_set_the_client_is_not_loaded(desk: Models) -> None:
    script = (
        "import sys, energywh.sync.runner; from pathlib import Path; from energywh.sources import load_settings\n"
        "from energywh.integrations.openlineage import build_listeners, sync_listeners\n"
        "from energywh.models.build.runner import build\n"
        "settings = load_settings(Path(sys.argv[1])); assert not sync_listeners(settings)\n"
        "build(settings.home, sql=Path(sys.argv[2]), listeners=build_listeners(settings))\n"
        "print('openlineage' in sys.modules)"
    )
    words = [sys.executable, "-c", script, str(desk.home.path), str(desk.sql)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False"]
