"""Long tables are read row by row."""

from __future__ import annotations

import tracemalloc

import pytest

from sklearn_rcrnn.annotations.formats import FORMATS

N_ROWS = 5000
RAVEN = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tAnnotation"
TABLES = {
    "raven": [RAVEN, *(f"{i}\t{i}.5\t{i}.75\tr.wav\t{i}.5\tdog" for i in range(N_ROWS))],
    "tsv": ["file\tonset\toffset\tlabel", *(f"r.wav\t{i}.5\t{i}.75\tdog" for i in range(N_ROWS))],
    "csv": ["file;onset;offset;label", *(f"r.wav;{i},5;{i},75;dog" for i in range(N_ROWS))],
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_not_kept(name):
    """All rows were in memory, in pieces, before the first one was read."""
    text = "\n".join(TABLES[name])
    rows = FORMATS[name].read(text, {})
    tracemalloc.start()
    first = next(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first.values[:2] == (0.5, 0.75)
    assert peak < 8 * len(text)
    assert sum(1 for _ in rows) == N_ROWS - 1
