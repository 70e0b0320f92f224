"""The HTML report: self-contained, and, in a browser, it plays, seeks and filters."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import CHROMIUM, shown_in_a_browser

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations import read_corrections
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.displays.report import write_report

pytest.importorskip("matplotlib")
EVENTS = [
    [Event(1.0, 2.0, "<b>dog</b>", 0.9), Event(4.0, 4.5, "кошка", 0.4)],
    [Event(3.0, 3.2, "кошка", 0.8)],
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    X, _ = make_rare_events(2, duration=6.0, random_state=0)
    paths = [root / "a & b.wav", root / "c\n<d>.wav", root / "broken.wav"]
    for path, samples in zip(paths, X, strict=False):
        soundfile.write(path, samples, 44100)
    paths[2].write_text("no audio")
    truth = [[(1.1, 2.0, "<b>dog</b>")], [], []]
    return write_report(paths, [*EVENTS, []], root / "report.html", y_true=truth)


def contents(text):
    """What the script of a page works on."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text)[1])


def test_all_is_in_the_page(page):
    text = page.read_text()
    assert not re.search(r"(src|href)=.?(https?:|//|file:)", text)
    assert text.count("data:audio/mpeg;base64,") == 2
    assert text.count("data:image/png;base64,") == 2
    assert "<b>dog" not in text
    assert "cannot be read as audio" in text
    assert "3 events found in 3 recordings" in text
    assert not list(page.parent.glob("*.part"))
    data = contents(text)
    assert [(e["lane"], e["onset"], e["label"], e["verdict"]) for e in data["events"]] == [
        ("found", 1.0, "<b>dog</b>", "hit"),
        ("found", 4.0, "кошка", "false alarm"),
        ("true", 1.1, "<b>dog</b>", "hit"),
        ("found", 3.0, "кошка", "false alarm"),
    ]


def test_misses_are_marked(tmp_path):
    clip, truth = np.zeros(5 * 44100, np.float32), [(1.0, 2.0, "dog"), (3.0, 4.0, "dog")]
    found = [Event(3.2, 4.0, "dog", 0.9), Event(3.3, 4.0, "dog", 0.8)]
    text = write_report([clip], [found], tmp_path / "x.html", y_true=[truth]).read_text()
    verdicts = {(e["lane"], e["onset"]): e["verdict"] for e in contents(text)["events"]}
    assert verdicts == {
        ("found", 3.2): "hit",
        ("found", 3.3): "false alarm",
        ("true", 1.0): "miss",
        ("true", 3.0): "hit",
    }


def test_the_same_event_twice_is_found_once(tmp_path):
    """Both were hits; scores count one as a false alarm."""
    clip, event = np.zeros(5 * 44100, np.float32), Event(1.0, 2.0, "dog", 0.9)
    args = ([clip], [[event, event]], tmp_path / "x.html")
    text = write_report(*args, y_true=[[(1.0, 2.0, "dog")]]).read_text()
    assert [e["verdict"] for e in contents(text)["events"]] == ["hit", "false alarm", "hit"]


def test_recordings_of_a_data_set(tmp_path):
    clip = {"array": np.zeros(2 * 22050, np.float32), "sampling_rate": 22050}
    text = write_report([clip], [[Event(1.0, 2.0, "dog")]], tmp_path / "x.html").read_text()
    assert contents(text)["sections"][0]["duration"] == 2.0


def test_recordings_without_events_are_collapsed(tmp_path):
    clips = np.zeros((3, 44100), np.float32)
    found = [[], [Event(0.1, 0.5, "dog", 0.9)], []]
    text = write_report(clips, found, tmp_path / "x.html").read_text()
    assert "<summary>2 recordings in which nothing was found</summary>" in text
    assert re.findall("<h2>(.*)</h2>", text) == ["recording 1", "recording 0", "recording 2"]


def test_long_recordings_show_what_lies_around_events(tmp_path):
    clips = [np.zeros(601 * 8000, np.float32), np.zeros(30 * 8000, np.float32)]
    paths = [tmp_path / "long.wav", tmp_path / "short.wav"]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, 8000)
    found = [[Event(300.0, 301.0, "dog", 0.9)], [Event(20.0, 21.0, "dog", 0.9)]]
    text = write_report(paths, found, tmp_path / "x.html").read_text()
    lengths = [section["duration"] for section in contents(text)["sections"]]
    assert lengths == pytest.approx([11.0, 30.0], abs=1e-3)


def test_without_audio(tmp_path):
    clip = np.zeros(44100, np.float32)
    out = write_report([clip], [[]], tmp_path / "x.html", audio=False, names=["silence"])
    assert "data:audio" not in out.read_text()
    assert "No events." in out.read_text()


def test_only_around_events(tmp_path):
    path = tmp_path / "night.wav"
    X, _ = make_rare_events(1, duration=100.0, random_state=0)
    soundfile.write(path, X[0], 44100)
    found = [Event(0.5, 1.0, "dog", 0.9), Event(70.0, 71.0, "cat", 0.8)]
    truth = [Event(73.5, 74.0, "cat"), Event(99.5, 100.0, "dog")]
    out = tmp_path / "x.html"
    for clip in (path, X[0]):
        write_report([clip], [found], out, y_true=[truth], names=["night"], around=2.0)
        text = out.read_text()
        # The second of the found events and the first of the true ones share a part.
        assert re.findall("<h2>(.*)</h2>", text) == [
            "night, 0:00 to 0:03",
            "night, 1:08 to 1:16",
            "night, 1:37 to 1:42",
        ]
        lengths = [section["duration"] for section in contents(text)["sections"]]
        assert lengths == pytest.approx([3.0, 8.0, 2.5], abs=1e-3)
        # Events keep the time of the recording; the part says where it starts.
        data = contents(text)
        assert [(e["section"], e["onset"]) for e in data["events"]] == [
            (0, 0.5),
            (1, 70.0),
            (1, 73.5),
            (2, 99.5),
        ]
        assert [section["start"] for section in data["sections"]] == [0.0, 68.0, 97.5]
        assert {section["file"] for section in data["sections"]} == {"night"}
        assert ">1:10</span>" in text
        assert "2 events found in 1 recording, 0.2 minutes with 2 s around each." in text


def test_around_an_event_after_the_end(tmp_path):
    path = tmp_path / "short.wav"
    samples = 0.1 * np.ones(3 * 44100)
    soundfile.write(path, samples, 44100)
    found = [Event(1.0, 2.0, "dog", 0.9), Event(100.0, 101.0, "dog", 0.9)]
    for clip in (path, samples):
        with pytest.warns(UserWarning, match="short ends before"):
            out = write_report([clip], [found], tmp_path / "x.html", names=["short"], around=1.0)
        text = out.read_text()
        assert text.count("data:image/png") == 1
        assert "short, 1:39 to 1:42</h2>" in text
        assert "The recording ends before this event" in text


@pytest.mark.parametrize("around", [None, 1.0])
def test_the_table_of_another_recording_is_noticed(tmp_path, around):
    found = [Event(1.0, 2.0, "dog", 0.9), Event(100.0, 101.0, "dog", 0.9)]
    samples, options = np.zeros(3 * 44100), {"names": ["short"], "around": around}
    with pytest.warns(UserWarning, match="short ends before 1 event would begin"):
        write_report([samples], [found], tmp_path / "x.html", **options)


def test_around_names_what_cannot_be_read(tmp_path):
    (tmp_path / "broken.wav").write_text("no audio")
    soundfile.write(tmp_path / "quiet.wav", np.zeros(44100), 44100)
    paths = [tmp_path / "broken.wav", tmp_path / "quiet.wav"]
    text = write_report(paths, [[], []], tmp_path / "x.html", around=1.0).read_text()
    assert text.count("<section") == 1
    assert "cannot be read as audio" in text
    assert "1 could not be read" in text


def test_wrong_use(tmp_path):
    with pytest.raises(ValueError, match="around must not be negative"):
        write_report([np.zeros(10)], [[]], tmp_path / "x.html", around=-1.0)
    with pytest.raises(ValueError, match="event lists for 2 clips"):
        write_report(["a.wav"], [[], []], tmp_path / "x.html")
    with pytest.raises(ValueError, match="names has 1 entries"):
        write_report(["a.wav", "b.wav"], [[], []], tmp_path / "x.html", names=["a"])
    with pytest.raises(ValueError, match="names has a_1 more than once"):
        write_report(["1/a", "2/a"], [[], []], tmp_path / "x.html", names=["a_1"] * 2)
    with pytest.raises(ValueError, match=r"thresholds_\['balanced'\] of a detector"):
        write_report(["a.wav"], [[]], tmp_path / "x.html", threshold="balanced")


SCRIPT = """
<script>
(async () => {
  const out = {}, wait = ms => new Promise(done => setTimeout(done, ms));
  const shown = selector => all(selector).filter(e => e.offsetParent !== null).length;
  const press = (key, shiftKey) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", {key, shiftKey: !!shiftKey, bubbles: true}));
  const choose = (id, value) => {
    get(id).value = value; get(id).dispatchEvent(new Event("input"));
  };
  const ids = () => all("tbody tr").map(line => line.dataset.id);
  const audio = all("audio");
  await Promise.all(audio.map(a => a.readyState ? 0 : new Promise(d => a.onloadedmetadata = d)));
  out.durations = audio.map(a => a.duration);
  out.events = shown(".event"); out.rows = shown("tbody tr");
  all(".event")[1].click(); await wait(300);
  out.seek = audio[0].currentTime;
  out.current = currentId;
  all("tbody tr")[2].click(); await wait(300);
  out.seekOther = audio[1].currentTime; out.firstPaused = audio[0].paused;
  press("k"); await wait(50);
  out.afterKey = currentId;
  // As a browser does that kept the place of the slider.
  get("score").value = 0.25; draw(); out.least = get("least").textContent;
  choose("score", 0.5);
  out.over = shown("tbody tr"); out.overLanes = shown(".event");
  all(".by-label")[0].click();
  out.oneLabel = shown("tbody tr"); out.count = get("shown").textContent;
  all(".by-label")[0].click(); choose("score", 0);
  all(".by-verdict")[1].click(); out.noFalseAlarms = ids(); all(".by-verdict")[1].click();
  choose("order", "score"); out.byScore = ordered().map(e => e.id);
  choose("order", "unsure"); out.unsure = ordered().map(e => e.id);
  choose("order", "time");
  // Keep the first, reject the second, give the third a label and move its borders.
  show(events()[0]); press("y"); await wait(20); out.next = currentId; press("n");
  show(events().find(e => e.id === "e3")); press("1");
  press("ArrowRight"); press("ArrowLeft", true);
  const rejected = document.querySelector('tr[data-id="e1"] button.reject');
  out.rejectedIsOn = rejected.getAttribute("aria-pressed");
  out.decided = get("decided").textContent;
  // Drag the offset of the first event to 2.5 s, and a new event from 5 s to 5.5 s.
  const lane = document.querySelector(".lane.found"), box = lane.getBoundingClientRect();
  const at = seconds => ({clientX: box.left + box.width * seconds / 6, clientY: box.top + 5,
    bubbles: true, button: 0, pointerType: "mouse", cancelable: true});
  const drag = async (target, from, to) => {
    target.dispatchEvent(new PointerEvent("pointerdown", at(from)));
    target.dispatchEvent(new PointerEvent("pointermove", at(to)));
    target.dispatchEvent(new PointerEvent("pointerup", at(to)));
    await wait(20);
  };
  await drag(document.querySelector('.event[data-id="e0"] i:last-child'), 2.0, 2.5);
  await drag(lane, 5.0, 5.5);
  out.table = table();
  // A key says what shall be, however often; a second press of the button takes it back.
  show(events()[0]); press("y"); out.keptAgain = events()[0].decision; press("u");
  // The first event is the current one, but the player of the second recording was moved last.
  audio[1].closest("section").querySelector(".strip img").dispatchEvent(new MouseEvent("click",
    {bubbles: true, clientX: all(".strip img")[1].getBoundingClientRect().left + 1}));
  await wait(50); press("a"); out.addedTo = events().at(-1).section; press("u");
  press("u"); out.undone = events().filter(e => e.added).length; out.undoneTo = currentId;
  press("u"); out.undoneOffset = events()[0].offset;
  out.stored = JSON.parse(localStorage.getItem(storageKey)).changes.e1.decision;
  out.sideways = document.documentElement.scrollWidth > window.innerWidth;
  document.title = JSON.stringify(out);
})();
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_browser(page, width, tmp_path):
    out = shown_in_a_browser(page, width, tmp_path, SCRIPT)
    assert out["durations"] == pytest.approx([6.0, 6.0], abs=0.1)
    assert (out["events"], out["rows"]) == (4, 3)
    # The second event of the first lane, and the first of the second recording.
    assert out["seek"] == pytest.approx(4.0, abs=0.45)
    assert out["current"] == "e1"
    assert out["seekOther"] == pytest.approx(3.0, abs=0.45)
    assert out["firstPaused"]
    assert out["afterKey"] == "e1"
    assert (out["least"], out["over"], out["overLanes"]) == ("0.25", 2, 3)
    assert (out["oneLabel"], out["count"]) == (1, "1")
    assert out["noFalseAlarms"] == ["e0"]
    assert out["byScore"] == ["e0", "e3", "e1"]
    # The threshold is 0.5: 0.4 is the least sure, then 0.8, then 0.9.
    assert out["unsure"] == ["e1", "e3", "e0"]
    assert (out["keptAgain"], out["addedTo"]) == ("keep", 1)
    assert (out["next"], out["rejectedIsOn"], out["decided"]) == ("e1", "true", "3")
    rows = list(csv.reader(io.StringIO(out["table"])))
    assert rows[0][:6] == ["file", "onset", "offset", "label", "score", "decision"]
    assert rows[3][6:9] == ["3.0", "3.2", "кошка"] or rows[3][6:9] == ["3", "3.2", "кошка"]
    assert [row[9].partition("-")[2][:2] for row in rows[1:4]] == ["e0", "e1", "e3"]
    files = [row[0] for row in rows[1:]]
    assert [Path(file).name for file in files] == [
        "a & b.wav",
        "a & b.wav",
        "c\n<d>.wav",
        "a & b.wav",
    ]
    first, second, third, added = ([*map(float, row[1:3]), *row[3:6]] for row in rows[1:])
    assert first[:2] == pytest.approx([1.0, 2.5], abs=0.02)
    assert first[2:] == ["<b>dog</b>", "0.9", "keep"]
    assert second == [4.0, 4.5, "кошка", "0.4", "reject"]
    assert third == [3.05, 3.15, "<b>dog</b>", "0.8", "keep"]
    assert added[:2] == pytest.approx([5.0, 5.5], abs=0.02)
    assert added[4] == "add"
    assert (out["undone"], out["undoneOffset"], out["stored"]) == (0, 2.0, "reject")
    # The event that was current before the one that was added, so that keys go on from there.
    assert out["undoneTo"] == "e0"
    table = tmp_path / "corrections.csv"
    table.write_text(out["table"], newline="", encoding="utf-8")
    corrections = read_corrections(table)
    assert [c.decision for c in corrections[files[0]]] == ["keep", "reject", "add"]
    assert corrections[files[2]][0].was == Event(3.0, 3.2, "кошка", 0.8)
    assert not out["sideways"]
