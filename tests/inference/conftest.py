"""Recordings that the tests of their detection share."""

from __future__ import annotations

import pytest
from small_runs import write_recordings


@pytest.fixture
def folder(tmp_path):
    """A folder with recordings in its folder `in`."""
    write_recordings(tmp_path / "in")
    return tmp_path
