"""``rcrnn evaluate``: what it says of two tables."""

from __future__ import annotations

import json
import subprocess
import time

import numpy as np
import pytest
import soundfile
from small_runs import RCRNN, rcrnn

from sklearn_rcrnn import Event
from sklearn_rcrnn.annotations.tables import write_events
from sklearn_rcrnn.cli.evaluate import _aligned


def evaluate(true, found, folder, *options):
    """What the command prints for two tables with these events."""
    write_events(true, folder / "true.csv")
    write_events(found, folder / "found.csv")
    out = rcrnn("evaluate", folder / "true.csv", folder / "found.csv", *options)
    assert out.exit_code == 0, out.output
    return json.loads(out.stdout) if "--json" in options else out.stdout.splitlines()


TRUE = {
    "a.wav": [Event(1.0, 2.0, "dog"), Event(5.0, 8.0, "cat")],
    "b.wav": [Event(3.0, 4.0, "cat"), Event(6.0, 7.0, "dog")],
    "c.wav": [],
}
FOUND = {
    "a.wav": [Event(1.2, 2.0, "dog", 0.9), Event(6.5, 8.0, "cat", 0.9)],
    "b.wav": [Event(3.0, 4.0, "dog", 0.8)],
    "c.wav": [Event(0.0, 1.0, "dog", 0.9)],
}


def test_what_became_of_each_event(tmp_path):
    assert evaluate(TRUE, FOUND, tmp_path) == [
        "label  true  found  right  misplaced  missed  false  error rate  F-score",
        "cat       2      1      0          1       1      0       1.500    0.000",
        "dog       2      3      1          0       1      2       1.500    0.400",
        "all       4      4      1          1       2      2       1.250    0.250",
        "",
        "1 event of cat taken for dog",
    ]
    result = evaluate(TRUE, FOUND, tmp_path, "--json")
    assert result["labels"]["cat"] == {
        "n_true": 2,
        "n_found": 1,
        "n_right": 0,
        "n_misplaced": 1,
        "n_missed": 1,
        "n_false": 0,
        "error_rate": 1.5,
        "f_score": 0.0,
        "false_alarms_per_hour": None,
    }
    assert result["all"]["error_rate"] == pytest.approx(1.25)
    assert result["taken_for"] == [{"label": "cat", "as": "dog", "n_events": 1}]


def test_recordings_without_true_events(tmp_path):
    true, found = {"a.wav": [], "b.wav": []}, {"a.wav": [Event(1.0, 2.0, "dog", 0.9)]}
    lines = evaluate(true, found, tmp_path)
    assert lines[1].split() == ["dog", "0", "1", "0", "0", "0", "1", "-", "-"]
    assert lines[4].endswith("no error rate and no F-score: 1 false alarm.")
    overall = evaluate(true, found, tmp_path, "--json")["all"]
    assert (overall["error_rate"], overall["f_score"], overall["n_false"]) == (None, None, 1)
    nothing = evaluate(true, {}, tmp_path, "--json")
    assert nothing["labels"] == {}
    assert nothing["all"]["n_false"] == 0


def test_false_alarms_an_hour(tmp_path):
    """Of recordings that lie where the table says, or in a folder that is given."""
    true, found = {"a.wav": []}, {"a.wav": [Event(1.0, 2.0, "dog", 0.9)]}
    soundfile.write(tmp_path / "a.wav", np.zeros(4 * 4000), 4000)
    assert evaluate(true, found, tmp_path)[1].split()[-1] == "900.0"
    (tmp_path / "in").mkdir()
    (tmp_path / "a.wav").rename(tmp_path / "in" / "a.wav")
    assert evaluate(true, found, tmp_path, "--json")["hours"] is None
    # One that no table names counts, too.
    soundfile.write(tmp_path / "in" / "b.wav", np.zeros(4 * 4000), 4000)
    result = evaluate(true, found, tmp_path, "--json", "--recordings", tmp_path / "in")
    assert result["n_recordings"] == 2
    assert result["all"]["false_alarms_per_hour"] == pytest.approx(450)
    assert result["unmatched"]["no_truth"] == [str(tmp_path / "in" / "b.wav")]
    lines = evaluate(true, found, tmp_path, "--recordings", tmp_path / "in")
    assert "1 recording in the folder without a row in the true events" in lines[-1]


def test_a_recording_that_cannot_be_read(tmp_path):
    """A recorder whose battery died leaves an empty file, which nobody has events of."""
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", np.zeros(4 * 4000), 4000)
    (tmp_path / "in" / "b.wav").write_bytes(b"")
    write_events({"a.wav": []}, tmp_path / "true.csv")
    write_events({"a.wav": [Event(1.0, 2.0, "dog", 0.9)]}, tmp_path / "found.csv")
    args = ("evaluate", tmp_path / "true.csv", tmp_path / "found.csv", "--json")
    out = rcrnn(*args, "--recordings", tmp_path / "in")
    assert out.exit_code == 0, out.stderr
    assert json.loads(out.stdout)["all"]["false_alarms_per_hour"] == pytest.approx(900)
    assert out.stderr.startswith("rcrnn: left out: ")
    assert "b.wav' is empty" in out.stderr
    write_events({"a.wav": [], "b.wav": [Event(1.0, 2.0, "dog")]}, tmp_path / "true.csv")
    out = rcrnn(*args, "--recordings", tmp_path / "in")
    assert out.exit_code == 2
    assert "b.wav' is empty" in out.stderr


def test_one_that_cannot_be_read_beside_the_table(tmp_path):
    """The scores, which need no recordings, were not printed."""
    true = {"a.wav": [Event(1.0, 2.0, "dog")], "b.wav": [Event(9.0, 9.5, "dog")]}
    soundfile.write(tmp_path / "b.wav", np.zeros(4 * 4000), 4000)
    (tmp_path / "a.wav").write_bytes(b"")
    result = evaluate(true, true, tmp_path, "--json")
    assert (result["all"]["n_right"], result["hours"]) == (2, None)
    assert result["unmatched"]["behind_end"] == ["b.wav"]
    out = rcrnn("evaluate", tmp_path / "true.csv", tmp_path / "found.csv")
    assert out.stderr.startswith("rcrnn: warning: no false alarms an hour, and no check of the")
    assert "a.wav' is empty" in out.stderr


def test_names_that_belong_to_no_other_name(tmp_path):
    other = {"z.wav": FOUND["a.wav"], "y.wav": []}
    result = evaluate(TRUE, other, tmp_path, "--json")
    assert result["unmatched"] == {
        "only_true": ["a.wav", "b.wav", "c.wav"],
        "only_found": ["z.wav"],
        "no_recording": [],
        "no_truth": [],
        "behind_end": [],
    }
    assert evaluate(TRUE, other, tmp_path)[-2:] == [
        "3 recordings not in the found events, taken as empty: a.wav, b.wav, c.wav",
        "1 recording not in the true events, and not scored: z.wav",
    ]


def test_events_behind_the_end_of_a_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(4 * 4000), 4000)
    late = {"a.wav": [Event(30.0, 31.0, "dog", 0.9)]}
    assert evaluate(late, {"a.wav": []}, tmp_path, "--json")["unmatched"]["behind_end"] == ["a.wav"]
    assert "1 recording with events that begin after its end" in evaluate(late, {}, tmp_path)[-1]


def test_warnings_are_sentences(tmp_path):
    """Python's own form names a file of the package and shows a line of its code."""
    write_events({"a.wav": [Event(1, 2, "dog")] * 2}, tmp_path / "true.csv")
    command = [RCRNN, "evaluate", tmp_path / "true.csv", tmp_path / "true.csv"]
    out = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert out.stderr.splitlines() == [
        f"rcrnn: warning: {tmp_path}/true.csv: 1 row(s) repeat an earlier row in all values; each "
        "counts"
    ]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (("Dog", "dog"), "differ only by case or form: Dog, dog. They count as different"),
        (("dog", "Canis"), "no label in common: dog, and Canis"),
        (("dog", "dog"), ""),
    ],
)
def test_labels_that_cannot_be_the_same(labels, told, tmp_path):
    """All events were missed and all found ones false, without a word."""
    for name, label in zip(("true", "found"), labels, strict=True):
        write_events({"a.wav": [Event(1, 2, label)]}, tmp_path / f"{name}.csv")
    out = rcrnn("evaluate", tmp_path / "true.csv", tmp_path / "found.csv")
    assert out.exit_code == 0
    assert out.stderr.removeprefix("rcrnn: warning: ").strip().endswith(told)
    assert bool(out.stderr) == bool(told)


def test_a_label_called_all(tmp_path):
    result = evaluate({"a.wav": [Event(1, 2, "all")]}, {"a.wav": []}, tmp_path, "--json")
    assert result["labels"]["all"]["n_missed"] == 1


def test_many_recordings_take_time_in_proportion():
    events = {f"{i}.wav": [Event(1.0, 2.0, "dog")] for i in range(20_000)}
    started = time.process_time()
    names, *_, unmatched = _aligned(events, events, None)
    assert len(names) == 20_000
    assert not any(unmatched.values())
    assert time.process_time() - started < 5  # 0.4 s; with the square of their number 13 s
