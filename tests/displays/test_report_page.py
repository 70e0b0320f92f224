"""What a person does on the page of a report, and what the page then shows and exports."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from browser import CHROMIUM, shown_in_a_browser

from sklearn_rcrnn import Event
from sklearn_rcrnn.displays.report import write_report

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def page_of(found, folder, truth=None, name="a.wav"):
    """The page of one silent clip of eight seconds with these events."""
    clip, true = np.zeros(8 * 44100, np.float32), None if truth is None else [truth]
    return write_report([clip], [found], folder / "x.html", y_true=true, names=[name], audio=False)


def test_marks_follow_corrections(tmp_path):
    """An event that had been given another label was still marked as a hit."""
    truth = [(1.0, 2.0, "dog"), (5.0, 6.0, "cat")]
    found = [Event(1.1, 2.0, "dog", 0.9), Event(5.1, 6.0, "dog", 0.8), Event(7.0, 7.5, "fox", 0.7)]
    page = page_of(found, tmp_path, truth)
    script = """<script>
      const marks = () => events().map(event => event.verdict).join(", "), out = {first: marks()};
      const act = (name, action) => { action(); out[name] = marks(); };
      act("other", () => relabel("e0", "fox"));
      out.drawn = document.querySelector('tr[data-id="e0"] .verdict').textContent;
      act("undone", undo);
      act("right", () => relabel("e1", "cat"));
      act("moved", () => move("e1", "onset", 5.6));
      act("added", () => { currentId = "e1"; add(0, 4.9, 5.5); });
      act("all undone", () => { undo(); undo(); undo(); });
      document.title = JSON.stringify(out);
    </script>"""
    assert shown_in_a_browser(page, 1200, tmp_path, script) == {
        "first": "hit, false alarm, false alarm, hit, miss",
        "other": "false alarm, false alarm, false alarm, miss, miss",
        "drawn": "false alarm",
        "undone": "hit, false alarm, false alarm, hit, miss",
        "right": "hit, hit, false alarm, hit, hit",
        "moved": "hit, false alarm, false alarm, hit, miss",
        "added": "hit, false alarm, false alarm, hit, hit, hit",
        "all undone": "hit, false alarm, false alarm, hit, miss",
    }


def test_a_rejected_event_is_no_hit(tmp_path):
    """It was one until another event changed, and its twin a false alarm; nothing was missed."""
    truth = [(1.0, 2.0, "dog"), (5.0, 6.0, "dog")]
    found = [Event(1.1, 2.0, "dog", 0.9), Event(1.2, 2.0, "dog", 0.8), Event(5.1, 6.0, "dog", 0.7)]
    page = page_of(found, tmp_path, truth)
    script = """<script>
      const marks = () => events().map(event => event.verdict ?? "none").join(", ");
      const out = {first: marks()};
      const act = (name, action) => { action(); out[name] = marks(); };
      act("one", () => decide("e0", "reject"));
      act("its twin", () => decide("e1", "reject"));
      out.drawn = document.querySelector('tr[data-id="e1"] .verdict').textContent;
      all(".by-verdict")[0].click();
      out.shown = all("tbody tr").map(line => line.dataset.id);
      out.missed = all(".event.miss").map(element => element.dataset.id);
      all(".by-verdict")[0].click();
      act("taken back", () => decide("e1", "reject"));
      act("added", () => add(0, 5.0, 5.5));
      act("added, rejected", () => decide(work.added[0].id, "reject"));
      act("undone", () => { undo(); undo(); });
      document.title = JSON.stringify(out);
    </script>"""
    assert shown_in_a_browser(page, 1200, tmp_path, script) == {
        "first": "hit, false alarm, hit, hit, hit",
        "one": "none, hit, hit, hit, hit",
        "its twin": "none, none, hit, miss, hit",
        "drawn": "",
        "shown": ["e0", "e1"],
        "missed": ["e3"],
        "taken back": "none, hit, hit, hit, hit",
        "added": "none, hit, hit, hit, hit, false alarm",
        "added, rejected": "none, hit, hit, hit, hit, none",
        "undone": "none, hit, hit, hit, hit",
    }


def test_a_page_that_is_open_twice(tmp_path):
    """The window that was used last took back all that had been done in the other."""
    found = [Event(1.0, 2.0, "dog", 0.9), Event(3.0, 3.5, "dog", 0.8)]
    page = page_of(found, tmp_path)
    script = """<script>
      (async () => {
        const other = document.createElement("iframe");
        const opened = new Promise(done => { other.onload = done; });
        other.srcdoc = "<p></p>";
        document.body.append(other);
        await opened;
        const elsewhere = JSON.stringify({changes: {e0: {decision: "reject"}}, added: []});
        other.contentWindow.localStorage.setItem(storageKey, elsewhere);
        const wait = () => new Promise(done => setTimeout(done, 20));
        for (let i = 0; i < 50 && !work.changes.e0; i++) await wait();
        const decided = get("decided").textContent;
        decide("e1", "keep");
        undo(); undo(); decide("e1", "keep");
        document.title = JSON.stringify({decided, stored: localStorage.getItem(storageKey)});
      })();
    </script>"""
    out = shown_in_a_browser(page, 1200, tmp_path, script)
    assert out["decided"] == "1"
    changes = json.loads(out["stored"])["changes"]
    assert {name: change["decision"] for name, change in changes.items()} == {
        "e0": "reject",
        "e1": "keep",
    }


@pytest.mark.parametrize("width", [400, 390])
def test_labels_are_whole_on_a_telephone(tmp_path, width):
    """The menu of labels cut "glassbreak"."""
    page = page_of([Event(1.0, 2.0, "glassbreak", 0.9)], tmp_path)
    # Windows of Chromium are at least 500 pixels wide; the page in it may be narrower.
    script = """<script>
      document.body.style.maxWidth = "WIDTHpx";
      const menu = document.querySelector("select.relabel"), shown = menu.offsetWidth;
      menu.style.maxWidth = menu.closest("td").style.maxWidth = "none";
      document.title = JSON.stringify({shown, whole: menu.offsetWidth});
    </script>"""
    out = shown_in_a_browser(page, 500, tmp_path, script.replace("WIDTH", str(width)))
    assert out["shown"] == out["whole"]


def test_events_are_added_where_none_was_found(tmp_path):
    page = page_of([], tmp_path, name="quiet.wav")
    script = """<script>
      window.prompt = () => "dog";
      add(0, 1, 2.5);
      let text = ""; URL.createObjectURL = () => "";
      window.Blob = function (parts) { text = parts.join(""); };
      HTMLAnchorElement.prototype.click = () => {};
      get("export").click();
      document.title = JSON.stringify({text, drawn: all(".lane.found .event").length});
    </script>"""
    out = shown_in_a_browser(page, 1200, tmp_path, script)
    (line,) = out["text"].splitlines()[1:]
    assert re.fullmatch(r"quiet\.wav,1,2\.5,dog,1,add,,,,[0-9a-f]{16}-a\d+", line)
    assert out["drawn"] == 1
