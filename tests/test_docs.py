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


def test_errors_are_quoted_as_they_are():
    """Whoever looks for a message on the page of errors must find it."""
    quoted = re.findall(r'^\*\*"(.+?)"', (REPOSITORY / "docs/errors.md").read_text(), re.MULTILINE)
    sources = "".join(path.read_text() for path in (REPOSITORY / "sklearn_rcrnn").rglob("*.py"))
    sources = re.sub(r'"\s+f?"', "", sources)
    assert len(quoted) >= 6
    for text in quoted:
        for part in filter(None, map(str.strip, text.split("..."))):
            assert part in sources, text


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


def test_tables_have_a_header():
    """A screen reader announced the columns of such a table without names."""
    pages = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]
    for path in [*pages, REPOSITORY / "benchmarks/accuracy/model_card.py"]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^[| ]+\n\|[-:| ]+$", text, re.MULTILINE), path


# Made by the build: the README must not lead there, and the pages have to name the source.
BUILT = ("gallery/", "commands.md")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs"])
def test_links_lead_to_what_can_be_read_without_a_build(page):
    """On a code host directives show as they are written, so nobody is sent to a page of them."""
    for path in sorted((REPOSITORY / page).glob("*.md")) or [REPOSITORY / page]:
        text = path.read_text(encoding="utf-8")
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        for target in [*targets, *re.findall(r'href="([^"#]+)"', text)]:
            if page == "docs" and target.startswith(BUILT):
                continue
            there = path.parent / target
            assert there.exists(), f"{path.name}: {target}"
            if page != "docs" and there.suffix == ".md":
                read = there.read_text(encoding="utf-8")
                readable = ("```{" not in read and ":::{" not in read) or 'class="unbuilt"' in read
                assert readable, f"{path.name}: {target} is nothing without a build"
