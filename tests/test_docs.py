"""The documentation keeps its promises: its examples run, and the files that it names exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from sklearn_rcrnn.annotations.formats import FORMATS

REPOSITORY = Path(__file__).parents[1]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture
def formats():
    """The formats of tables as they are, whatever a page registers."""
    known = dict(FORMATS)
    yield
    FORMATS.clear()
    FORMATS.update(known)


@pytest.mark.usefixtures("formats")
@pytest.mark.parametrize("page", ["docs/extend.md"])
def test_examples_of_a_page(page):
    # The fences of a code block are no expected output.
    text = re.sub(r"^```\w*$", "", (REPOSITORY / page).read_text(), flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "page"}, page, page, 0)
    assert test.examples
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test)
    assert not failed


def test_contributing_names_files_that_exist():
    """Each change touches at most three files, and tests of it lie where the guide says."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    rows = [row for row in rows if "`" in row[1]]
    assert len(rows) >= 12
    for change, places, tests in rows:
        files = re.findall(r"`([\w./]+)`", places)
        assert 1 <= len(files) <= 3, change
        for name in [*files, *re.findall(r"`([\w./]+)`", tests)]:
            root = "" if name.startswith(("tests/", "docs/", "benchmarks/")) else "sklearn_rcrnn/"
            assert (REPOSITORY / root / name).is_file(), f"{change}: {name}"
