"""Events joined over gaps and kept by their length: in clips, files, streams and commands."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import rcrnn

from sklearn_rcrnn import Event, detect_file, detect_stream, load_pretrained
from sklearn_rcrnn.cli._common import by_commas
from sklearn_rcrnn.events import select_events
from sklearn_rcrnn.postprocessing import EventJoiner, EventRules, apply_rules

CLIP = [
    Event(1.0, 1.4, "dog", 0.7),
    Event(1.6, 2.0, "dog", 0.9),
    Event(1.7, 1.8, "cat", 0.5),
    Event(5.0, 5.1, "dog", 0.6),
    Event(6.0, 9.0, "cat", 0.6),
]

CATS = Event(1.7, 9.0, "cat", 0.6)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, CLIP),
        ({"min_duration": 0.3}, [CLIP[0], CLIP[1], CLIP[4]]),
        ({"max_duration": 0.4}, CLIP[:4]),
        ({"min_duration": {"cat": 1.0}}, [CLIP[0], CLIP[1], CLIP[3], CLIP[4]]),
        ({"merge_gap": {"dog": 0.2}}, [Event(1.0, 2.0, "dog", 0.9), *CLIP[2:]]),
        ({"merge_gap": 0.1}, CLIP),
        ({"merge_gap": 10, "min_duration": 3}, [CLIP[0]._replace(offset=5.1, score=0.9), CATS]),
        ({"merge_gap": 0.2, "max_duration": {"dog": 0.9}}, [CLIP[2], CLIP[3], CLIP[4]]),
    ],
)  # fmt: skip
def test_rules(rules, expected):
    assert apply_rules([CLIP[::-1]], EventRules(**rules)) == [expected]


@pytest.mark.parametrize("number", [np.int64, np.float32, int])
def test_numbers_of_any_type(number):
    EventRules(number(1), {"dog": number(1)}, number(2)).check(["dog"])


def test_an_endless_gap_joins_all_events_of_a_label():
    joined = apply_rules([CLIP], EventRules({"dog": math.inf}))
    assert joined == [[Event(1.0, 5.1, "dog", 0.9), CLIP[2], CLIP[4]]]


def test_touching_events_and_overlaps():
    clip = [Event(0, 1, "a"), Event(1, 2, "a"), Event(1.5, 3, "a")]
    assert apply_rules([clip], EventRules(merge_gap=0)) == [[Event(0, 3, "a")]]
    assert apply_rules([clip], EventRules()) == [clip]


@given(st.integers(0, 10**6), st.sampled_from([None, 0.0, 0.3, {"a": 1.0}]))
@settings(max_examples=60, deadline=None)
def test_streams_give_what_clips_give(seed, gap):
    rng = np.random.default_rng(seed)
    onsets = np.sort(rng.uniform(0, 20, 12))
    events = [Event(t, t + rng.uniform(0.1, 2), str(rng.choice(list("ab")))) for t in onsets]
    rules = EventRules(gap, {"b": 0.5}, 3.0)
    joiner, given_out = EventJoiner(rules), []
    for event in events:
        joiner.add([event])
        given_out += joiner.take(event.onset)
    given_out += joiner.take(math.inf)
    assert sorted(given_out) == apply_rules([events], rules)[0]


def test_what_is_not_joined_does_not_wait():
    joiner = EventJoiner(EventRules(merge_gap={"a": 1.0}))
    joiner.add([Event(0, 1, "a"), Event(0, 1, "b")])
    assert joiner.take(0.0) == [Event(0, 1, "b")]
    assert joiner.take(1.9) == []
    assert joiner.take(2.1) == [Event(0, 1, "a")]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"merge_gap": {"cow": 1}}, "merge_gap has the label"),
        ({"min_duration": {"dog": -1}}, "min_duration must be seconds"),
        ({"merge_gap": {"dog": np.inf}}, "merge_gap must be seconds, 0 or more and finite"),
        ({"merge_gap": np.True_}, "merge_gap must be seconds"),
        ({"max_duration": {"dog": "long"}}, "max_duration must be seconds"),
    ],
)
def test_rules_that_cannot_be(rules, message):
    with pytest.raises(ValueError, match=message):
        EventRules(**rules).check(["dog", "cat"])


@pytest.fixture(scope="module")
def pipe():
    return load_pretrained().set_params(detector__score_threshold=0.05)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two and a half minutes with a click every other second."""
    rng = np.random.default_rng(0)
    samples = 0.01 * rng.normal(size=150 * 44100)
    for start in range(0, len(samples) - 44100, 2 * 44100):
        samples[start : start + 8000] += rng.normal(size=8000) * np.exp(-np.arange(8000) / 1500)
    path = tmp_path_factory.mktemp("clicks") / "clicks.wav"
    soundfile.write(path, 0.1 * samples, 44100, subtype="FLOAT")
    return path


def close(found, expected):
    assert [e.label for e in found] == [e.label for e in expected]
    np.testing.assert_allclose([e[:2] for e in found], [e[:2] for e in expected], atol=1e-3)


def test_clips_files_and_streams_agree(pipe, recording):
    plain = pipe.predict([recording])[0]
    assert len(plain) > 10
    rules = {"merge_gap": 4.0, "min_duration": 0.3, "max_duration": {"babycry": 30.0}}
    pipe.set_params(**{f"detector__{name}": value for name, value in rules.items()})
    joined = pipe.predict([recording])[0]
    assert joined == apply_rules([plain], EventRules(**rules))[0]
    assert 0 < len(joined) < len(plain)
    close(detect_file(pipe, recording), joined)
    samples, _ = soundfile.read(recording, dtype="float32")
    blocks = np.array_split(samples, 30)
    close(sorted(detect_stream(pipe, blocks)), joined)
    pipe.set_params(detector__max_events_per_clip=1)
    assert pipe.predict([recording])[0] == select_events([joined], 0.0, 1)[0]
    pipe.set_params(detector__max_events_per_clip=None, detector__merge_gap={"cow": 1})
    with pytest.raises(ValueError, match="merge_gap has the label"):
        pipe.predict([recording])


def test_labels_of_options_after_a_comma():
    assert by_commas("dog=1, cat=2", ["dog", "cat"]) == ["dog=1", "cat=2"]
    assert by_commas("dog, small=1", ["dog, small"]) == ["dog, small=1"]
    assert by_commas("0,5", ["dog"]) == ["0,5"]


def test_a_night_of_events_is_joined_in_linear_time():
    events = [Event(2.0 * i, 2.0 * i + 1, "dog", 0.5) for i in range(20_000)]
    begin = time.process_time()
    (joined,) = apply_rules([events], EventRules(merge_gap=0.5))
    assert joined == events
    assert time.process_time() - begin < 5


class TestCommand:
    @pytest.fixture
    def detect(self, recording):
        def run(*options):
            return rcrnn("detect", recording, "--threshold", 0.05, *options)

        return run

    def test_options(self, detect, pipe, recording):
        rules = {"merge_gap": 4.0, "min_duration": {"babycry": 1.0, "glassbreak": 0.2}}
        names = [f"detector__{name}" for name in EventRules._fields]
        pipe.set_params(**dict.fromkeys(names), detector__score_threshold=0.05)
        expected = apply_rules(pipe.predict([recording]), EventRules(**rules))[0]
        out = detect(
            *("--merge-gap", 4, "--min-duration", "babycry=1", "--min-duration", "glassbreak=.2")
        )
        assert out.exit_code == 0, out.stderr
        rows = [line.split(",")[-4:] for line in out.stdout.splitlines()[1:]]
        assert [row[2] for row in rows] == [event.label for event in expected]
        assert [float(row[0]) for row in rows] == pytest.approx(
            [event.onset for event in expected], abs=2e-3
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--merge-gap", "cow=1"), "the model knows babycry"),
            (("--min-duration", "-1"), "must be seconds, or LABEL=SECONDS"),
            (("--max-duration", "nan"), "must be seconds, or LABEL=SECONDS"),
            (("--merge-gap", "babycry=1,cow=2"), "cow=2: the model knows babycry"),
            (("--min-duration", 2, "--max-duration", 1), "no event could be kept"),
        ],
    )
    def test_wrong_options(self, detect, options, message):
        out = detect(*options)
        assert out.exit_code == 2
        assert message in out.stderr
