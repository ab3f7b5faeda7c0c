"""Files that are whole or not there."""

from pathlib import Path

import pytest

from energywh.whole_files import replacing


def test_a_file_is_replaced_when_whole_and_kept_when_its_writer_fails(tmp_path: Path) -> None:
    file = tmp_path / "answer.csv"
    for text in ("old", "new"):
        with replacing(file) as temporary:
            temporary.write_text(text)
            assert temporary.parent == tmp_path
            assert temporary.name.startswith(".answer.csv.")
        assert file.read_text() == text

    def fail_halfway() -> None:
        with replacing(file) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["answer.csv"]
    assert file.read_text() == "new"
