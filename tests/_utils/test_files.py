"""Files appear whole or not at all."""

from __future__ import annotations

import pytest

from sklearn_rcrnn._utils.files import complete


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with complete(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"

    def fail():
        with complete(path) as partial:
            partial.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "after"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
