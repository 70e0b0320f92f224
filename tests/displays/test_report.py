"""The HTML report: self-contained, and, in a browser, it plays, seeks and filters."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from sklearn_rcrnn import Event
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.displays.report import write_report

pytest.importorskip("matplotlib")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
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


def test_all_is_in_the_page(page):
    text = page.read_text()
    assert not re.search(r"(src|href)=.?(https?:|//|file:)", text)
    assert text.count("data:audio/mpeg;base64,") == 2
    assert text.count("data:image/png;base64,") == 2
    assert "<b>dog" not in text
    assert "cannot be read as audio" in text
    assert "3 events in 3 recordings" in text
    assert not list(page.parent.glob("*.part"))


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
        lengths = [float(t) for t in re.findall('section data-duration="(.*)"', text)]
        assert lengths == pytest.approx([3.0, 8.0, 2.5], abs=1e-3)
        # In the table the time of the recording, to play that of the part.
        assert '<td class="number">70.00</td>' in text
        assert 'data-onset="2.0" data-offset="3.0"' in text
        assert ">1:10</span>" in text
        assert "2 events in 1 recording, 0.2 minutes with 2 s around each." in text


def test_around_an_event_after_the_end(tmp_path):
    path = tmp_path / "short.wav"
    samples = 0.1 * np.ones(3 * 44100)
    soundfile.write(path, samples, 44100)
    found = [Event(1.0, 2.0, "dog", 0.9), Event(100.0, 101.0, "dog", 0.9)]
    for clip in (path, samples):
        out = write_report([clip], [found], tmp_path / "x.html", names=["short"], around=1.0)
        text = out.read_text()
        assert text.count("data:image/png") == 1
        assert "short, 1:39 to 1:42</h2>" in text
        assert "The recording ends before this event" in text


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


SCRIPT = """
<script>
(async () => {
  const out = {}, wait = ms => new Promise(done => setTimeout(done, ms));
  const shown = selector => all(selector).filter(e => e.offsetParent !== null).length;
  const audio = all("audio");
  await Promise.all(audio.map(a => a.readyState ? 0 : new Promise(d => a.onloadedmetadata = d)));
  out.durations = audio.map(a => a.duration);
  out.events = shown(".event"); out.rows = shown("tbody tr");
  all(".event")[1].click(); await wait(300);
  out.seek = audio[0].currentTime;
  out.current = document.querySelector(".current").textContent;
  all("tbody tr")[2].click(); await wait(300);
  out.seekOther = audio[1].currentTime; out.firstPaused = audio[0].paused;
  document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "k", bubbles: true}));
  await wait(50);
  out.afterKey = document.querySelector(".current").id;
  const score = document.getElementById("score");
  score.value = 0.5; score.dispatchEvent(new Event("input"));
  out.over = shown("tbody tr"); out.overLanes = shown(".event");
  all(".by-label")[0].click();
  out.oneLabel = shown("tbody tr"); out.count = document.getElementById("shown").textContent;
  out.sideways = document.documentElement.scrollWidth > window.innerWidth;
  document.title = JSON.stringify(out);
})();
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_browser(page, width, tmp_path):
    tested = tmp_path / "tested.html"
    tested.write_text(page.read_text().replace("</body>", SCRIPT + "</body>"))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},800",
        "--virtual-time-budget=20000",
        "--dump-dom",
        tested.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    title = re.search(r"<title>(.*)</title>", dom)[1]
    assert title.startswith("{"), title
    out = json.loads(title)
    assert out["durations"] == pytest.approx([6.0, 6.0], abs=0.1)
    assert (out["events"], out["rows"]) == (4, 3)
    # The second event of the first lane, and the first of the second recording.
    assert out["seek"] == pytest.approx(4.0, abs=0.45)
    assert "кошка" in out["current"]
    assert out["seekOther"] == pytest.approx(3.0, abs=0.45)
    assert out["firstPaused"]
    assert out["afterKey"] == "e0-1"
    assert (out["over"], out["overLanes"]) == (2, 3)
    assert (out["oneLabel"], out["count"]) == (1, "1")
    assert not out["sideways"]
