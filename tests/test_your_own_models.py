"""docs/your-own-models.md is correct: its folder is built, documented and queried as the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from energywh.warehouse import Warehouse
from tests.support.desk import Desk, desk_with_simulator

PAGE = (Path(__file__).parents[1] / "docs" / "your-own-models.md").read_text("utf-8")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with two months of two authorities, and the folder of the page beside it."""
    folder = tmp_path_factory.mktemp("desk")
    files = re.findall(r"`grid-models/(\S+)`[^`]*?\n\n```(?:sql|csv)\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, _ in files] == ["features/peak.sql", "desk/peak_day.sql", "seeds/price_cap.csv"]
    for name, text in files:
        file = folder / "grid-models" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    with desk_with_simulator(folder, now="2024-06-01T00") as (desk, _):
        assert desk.sync("eia.region_data", regions=["CISO", "ERCO"], since="2024-03-01", until="2024-04-30").ok
    return desk


def test_the_commands_of_the_page_do_what_it_says(desk: Desk) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [shlex.split(line)[1:] for line in block.splitlines()]
    assert [words[0] for words in lines] == ["build", "models", "sql", "export"]
    for words in lines:
        done = desk.run(*words, cwd=desk.folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    with Warehouse(desk.home) as warehouse:
        days = warehouse.sql("select region, any_value(cap_usd_per_mwh) from desk.peak_day group by 1 order by 1")
        assert days.fetchall() == [("CISO", 1000), ("ERCO", 5000)]
        context = warehouse.context(hours=48, regions=["CISO"], source="features.peak", backend="numpy")
        assert context.inputs.shape == (1, 48, 2)


def test_the_setting_of_the_page_keeps_them_and_its_absence_drops_them(desk: Desk) -> None:
    assert desk.run("build", "--models", "grid-models", cwd=desk.folder).returncode == 0
    (setting,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    desk.home.settings_file.write_text(setting, "utf-8")
    assert desk.run("build").stdout.startswith("nothing new")
    desk.home.settings_file.unlink()
    done = desk.run("build")
    assert done.returncode == 0
    assert "dropped features.peak: its file is gone, or its folder is not given any more" in done.stderr
    assert desk.run("sql", "from desk.peak_day").returncode == 2
