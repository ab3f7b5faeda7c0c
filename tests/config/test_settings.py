"""Settings: precedence of the layers, validation, and what is shown."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from energywh.config.settings import describe
from energywh.core.paths import DEFAULT_HOME
from energywh.core.time import parse_hour
from energywh.errors import SettingsError, UsageError
from energywh.sources import load_settings, sources

KEY = "SecretKeySecretKeySecretKeySecretKey1234"


def write(home: Path, text: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "energywh.toml").write_text(text)
    return home


def test_each_layer_covers_the_one_below(tmp_path: Path) -> None:
    def origin(**environment: str) -> tuple[object, str]:
        settings = load_settings(tmp_path, overrides, environment=environment)
        return settings.get("sync.jobs"), settings.items["sync.jobs"].origin

    overrides: dict[str, int | None] = {"sync.jobs": None}
    assert origin() == (8, "default")
    write(tmp_path, "[sync]\njobs = 3\n")
    assert origin() == (3, str(tmp_path / "energywh.toml"))
    assert origin(ENERGYWH_SYNC_JOBS="4") == (4, "ENERGYWH_SYNC_JOBS")
    overrides = {"sync.jobs": 5}
    assert origin(ENERGYWH_SYNC_JOBS="4") == (5, "option")


def test_the_home_is_the_option_else_the_variable_else_the_folder_warehouse(tmp_path: Path) -> None:
    def home(option: Path | None, **environment: str) -> tuple[Path, str]:
        settings = load_settings(option, environment=environment)
        return settings.home.path, settings.home_origin

    assert home(None) == (DEFAULT_HOME, "default")
    assert home(None, ENERGYWH_HOME=str(tmp_path)) == (tmp_path, "ENERGYWH_HOME")
    assert home(tmp_path / "a", ENERGYWH_HOME=str(tmp_path)) == (tmp_path / "a", "--home")


def test_the_key_has_its_usual_variable_and_an_own_one_above_it(tmp_path: Path) -> None:
    def key(**environment: str) -> tuple[object, str]:
        setting = load_settings(tmp_path, environment=environment).items["eia.api_key"]
        return setting.value, setting.origin

    assert key(EIA_API_KEY="usual") == ("usual", "EIA_API_KEY")
    assert key(EIA_API_KEY="usual", ENERGYWH_EIA_API_KEY="own") == ("own", "ENERGYWH_EIA_API_KEY")
    assert key(EIA_API_KEY="") == ("", "default")
    write(tmp_path, "[eia]\napi_key = ' filed '\n")
    assert key() == ("filed", str(tmp_path / "energywh.toml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[eia]\nurll = 'x'", r"\[eia\] has no setting 'urll'; did you mean url\?"),
        ("[eai]\nurl = 'x'", r"no section is named \[eai\]; did you mean eia\?"),
        ("url = 'x'", r"no section is named \[url\]"),
        ("eia = 'x'", r"\[eia\] must be a table"),
        ("[sync]\njobs = 0", "'sync.jobs' .* must be at least 1, not 0"),
        ("[sync]\njobs = 2.5", "must be a whole number, not 2.5"),
        ("[sync]\njobs = inf", "must be a whole number, not inf"),
        ("[sync]\njobs = true", "must be a whole number, not True"),
        ("[sync]\njobs = [1]", "must be a whole number"),
        ("[build]\ncorrections = 'perhaps'", "must be true or false, not 'perhaps'"),
        ("[build]\ncorrections = 2", "must be true or false, not 2"),
        ("[sync]\ntimeout_seconds = 'soon'", "must be a number, not 'soon'"),
        ("[sync]\ntimeout_seconds = nan", "must be at least 0.1, not nan"),
        ("[eia]\nrequests_per_second = inf", "must be a number, not inf"),
        ("[eia]\nrequests_per_second = -1", "must be at least 0, not -1"),
        ("[payloads]\nretention = 'a month'", "'payloads.retention' .* must be a number and h, d or w"),
        ("[sync", "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        load_settings(write(tmp_path, text), environment={})
    assert "energywh.toml" in str(caught.value)


def test_a_file_for_a_newer_energywh_is_refused_and_one_for_this_is_read(tmp_path: Path) -> None:
    home = write(tmp_path, "schema = 1\n[sync]\njobs = 3\n")
    assert load_settings(home, environment={}).get("sync.jobs") == 3
    write(home, "schema = 2\n[sync]\nworkers = 3\n")
    with pytest.raises(SettingsError, match=r"newer energywh \(schema 2; this one knows 1\): upgrade energywh"):
        load_settings(home, environment={})
    write(home, 'schema = "1"\n')
    with pytest.raises(SettingsError, match="schema must be a number"):
        load_settings(home, environment={})


KEY = "Zx81kT0pSecretKey0123456789abcdefghijklm"


@pytest.mark.parametrize(
    "text",
    [
        f"[eia]\n{KEY} = ''",
        f"[{KEY}]\na = 1",
        f"[eia.{KEY}]",
        f"{KEY} = 1",
        f"[eia]\n{KEY} = 1\n{KEY} = 2",
        f"[a.{KEY}]\n[a.{KEY}]",
        f"[sync]\ntimeout_seconds = '{KEY}'",
    ],
)
def test_a_key_in_a_wrong_place_of_the_file_is_not_printed(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text), environment={})
    assert KEY not in str(caught.value)


def test_a_key_in_the_path_of_an_address_or_the_name_of_a_variable_is_not_printed(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, f"[eia]\nurl = 'https://api.eia.gov/{KEY}/v2'"), environment={})
    assert all(KEY not in " ".join(line) for line in describe(settings))
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environment={f"ENERGYWH_{KEY}": "x"})
    assert KEY not in str(caught.value)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'sync.jobs' \(from ENERGYWH_SYNC_JOBS\) must be a whole number, not 'x'"):
        load_settings(tmp_path, environment={"ENERGYWH_SYNC_JOBS": "x"})


def test_a_file_that_cannot_be_read_is_an_error_and_one_that_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "energywh.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(tmp_path, environment={})
    (tmp_path / "file").write_text("")
    assert load_settings(tmp_path / "file", environment={}).get("sync.jobs") == 8
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "energywh.toml").write_bytes("# größer".encode("latin-1"))
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(tmp_path / "latin", environment={})


def test_secrets_are_masked_wherever_settings_are_shown(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environment={"EIA_API_KEY": KEY})
    shown = {name: (value, origin) for name, value, origin, _ in describe(settings)}
    assert shown["eia.api_key"] == ("********", "EIA_API_KEY")
    assert shown["eia.url"] == ("https://api.eia.gov/v2", "default")
    assert KEY not in repr(settings) + repr(list(describe(settings)))
    nothing = dict(list_of_shown(load_settings(tmp_path, environment={})))
    assert nothing["eia.api_key"] == "(not set)"
    write(tmp_path, f"[eia]\napi_key = ['{KEY}']\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environment={})
    assert KEY not in str(caught.value)


def list_of_shown(settings: object) -> list[tuple[str, str]]:
    from energywh.config.settings import Settings

    assert isinstance(settings, Settings)
    return [(name, value) for name, value, _, _ in describe(settings)]


def test_the_error_of_an_unknown_setting_suggests_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no setting is named 'sync.job'; did you mean sync.jobs"):
        load_settings(tmp_path, environment={}).get("sync.job")


def test_a_tilde_in_the_home_is_the_users_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings(environment={"ENERGYWH_HOME": "~/wh"}).home.path == tmp_path / "wh"
    assert load_settings("~/wh", environment={}).home.path == tmp_path / "wh"


def test_a_value_above_its_greatest_is_refused() -> None:
    with pytest.raises(SettingsError, match="at most 64"):
        load_settings(environment={"ENERGYWH_SYNC_JOBS": "100000"})
    with pytest.raises(UsageError, match="at most 36500d"):
        load_settings(environment={"ENERGYWH_PAYLOADS_RETENTION": "999999d"})


@pytest.mark.parametrize(
    "address", ["ftp://x/v2", "api.eia.gov", "https://me:secret@api.eia.gov/v2", "https://x/v2?a=b"]
)
def test_an_address_that_cannot_be_is_refused_and_its_password_not_shown(address: str) -> None:
    from energywh.sources.eia import SOURCE

    settings = load_settings(environment={"ENERGYWH_EIA_URL": address, "EIA_API_KEY": "k"})
    with pytest.raises(SettingsError) as refusal:
        SOURCE.check_ready(settings)
    assert "secret" not in str(refusal.value)


def test_the_same_host_and_key_share_one_limit_however_the_address_is_spelt() -> None:
    from energywh.sources.eia import SOURCE

    def identity(url: str) -> str:
        return SOURCE.identity(load_settings(environment={"ENERGYWH_EIA_URL": url, "EIA_API_KEY": "k"}))

    assert identity("https://api.eia.gov/v2") == identity("https://api.eia.gov/v2/")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://api.eia.gov/v2/?api_key={KEY}", "https://api.eia.gov/v2/?REDACTED"),
        (f"https://api.eia.gov/v2/#{KEY}", "https://api.eia.gov/v2/?REDACTED"),
        (f"https:/api.eia.gov?api_key={KEY}", "https:/api.eia.gov?REDACTED"),
        (f"api.eia.gov/v2?api_key={KEY}", "api.eia.gov/v2?REDACTED"),
        (f"https://me:{KEY}@api.eia.gov/v2", "https://REDACTED@api.eia.gov/v2"),
        (f"https://me:a/{KEY}@api.eia.gov/v2", "https://REDACTED@api.eia.gov/v2"),
        (f"me:{KEY}@api.eia.gov/v2", "REDACTED@api.eia.gov/v2"),
        ("https://api.eia.gov/v2", "https://api.eia.gov/v2"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret_in_it(tmp_path: Path, url: str, shown: str) -> None:
    settings = load_settings(tmp_path, environment={"ENERGYWH_EIA_URL": url, "EIA_API_KEY": "k"})
    assert {name: value for name, value, _, _ in describe(settings)}["eia.url"] == shown
    if KEY in url:
        with pytest.raises(SettingsError, match=r"eia\.url") as caught:
            sources()["eia"].check_ready(settings)
        assert KEY not in str(caught.value)


def test_a_folder_is_shown_as_it_is(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environment={"ENERGYWH_STATE_FOLDER": "/home/me@work/state?"})
    assert settings.items["state.folder"].shown == "/home/me@work/state?"


def test_a_value_of_the_wrong_type_is_noticed_even_where_another_layer_holds(tmp_path: Path) -> None:
    write(tmp_path, "[eia]\napi_key = [1]\n")
    with pytest.raises(SettingsError, match=r"'eia\.api_key' .* must be text, not the given value"):
        load_settings(tmp_path, environment={"EIA_API_KEY": "k"})


@pytest.mark.parametrize(
    ("text", "good"),
    [("8GB", True), ("512 MiB", True), ("8g", True), ("80%", True), ("", True), ("lots", False), ("8", False)],
)
def test_an_amount_of_memory_is_checked_with_the_settings(tmp_path: Path, text: str, good: bool) -> None:
    import duckdb

    environment = {"ENERGYWH_BUILD_MEMORY_LIMIT": text} if text else {}
    if not good:
        with pytest.raises(SettingsError, match=r"'build\.memory_limit' .* must be an amount of memory such as 8GB"):
            load_settings(tmp_path, environment=environment)
        return
    assert load_settings(tmp_path, environment=environment).get("build.memory_limit") == text
    if text:
        duckdb.connect(config={"memory_limit": text}).close()


@pytest.mark.parametrize(
    "text", ["2024-01-01T05", "2024-01-01 05", "2024-01-01 05:00", "2024-01-01T05:00Z", "2024-01-01 05:00:00"]
)
def test_an_hour_may_be_written_with_a_blank(text: str) -> None:
    assert parse_hour(text) == datetime(2024, 1, 1, 5)


def test_folders_are_one_text_a_list_or_as_in_path_and_relative_to_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "energywh.toml").write_text('[build]\nmodels = ["a", "/b"]\n')
    assert load_settings(tmp_path, environment={}).get("build.models") == (tmp_path / "a", Path("/b"))
    variable = {"ENERGYWH_BUILD_MODELS": os.pathsep.join(["a", "/b"])}
    assert load_settings(tmp_path, environment=variable).get("build.models") == (Path("a"), Path("/b"))
    assert load_settings(tmp_path, {"build.models": ("c",)}, environment=variable).get("build.models") == (Path("c"),)
    (tmp_path / "energywh.toml").write_text("[build]\nmodels = [1]\n")
    with pytest.raises(SettingsError, match=r"'build\.models' .* must be a folder or a list of folders, not \[1\]"):
        load_settings(tmp_path, environment={})
    (tmp_path / "energywh.toml").write_text('[build]\nmodels = ""\n')
    assert load_settings(tmp_path, environment={}).get("build.models") == ()


@pytest.mark.parametrize(("written", "value"), [("true", True), ("'on'", True), ("false", False), ("'No'", False)])
def test_a_switch_is_true_or_false_however_it_is_written(tmp_path: Path, written: str, value: bool) -> None:
    write(tmp_path, f"[build]\ncorrections = {written}\n")
    assert load_settings(tmp_path, environment={}).get("build.corrections") is value
    settings = load_settings(tmp_path, environment={"ENERGYWH_BUILD_CORRECTIONS": "0" if value else "1"})
    assert settings.get("build.corrections") is not value
    assert settings.items["build.corrections"].shown == str(not value).lower()
