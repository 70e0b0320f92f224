"""Sounds of packages for the weights' trainings, and weights that go on with more labels."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "accuracy"))

import bank
import export_weights
import packaged_sounds
import train_weights
from small_corpus import write_subset
from synthetic_sounds import RATE

SECONDS = 2.0


def wave(rate=22050):
    file = io.BytesIO()
    samples = np.sin(np.arange(round(SECONDS * rate)) / 10)
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def row(file, label, onset="0.50", offset="1.25", alike=""):
    fields = (file, label, onset, offset, alike)
    names = ("file", "label", "onset", "offset", "alike")
    return {"package": "game", **dict(zip(names, fields, strict=True))}


@pytest.fixture
def root(tmp_path):
    """A corpus of one event and one background in each of two subsets."""
    root = tmp_path / "corpus"
    noise = {"audio/road.wav": np.random.default_rng(0).normal(size=RATE) / 10}
    events = {"devtrain2": "gunshot", "other": "footsteps"}
    rows = [("bgs/audio/road.wav", "road")]
    for subset, label in events.items():
        write_subset(
            root / "source_data", subset, noise, {label: [("a.wav", np.ones(RATE), RATE, (0, 1))]}
        )
        rows.append((f"events/{label}/a.wav", label))
    with (root / "provenance.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["split", "kind", "file", "repository", "path", "recording", "licence"],
        )
        writer.writerows(["", "", file, "here", "", name, "CC0"] for file, name in rows)
    return root


@pytest.fixture
def package(monkeypatch):
    """Instead of a download, a package of two sounds, one of which is in an archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("sound/bell.wav", wave())
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in (("./usr/shot.wav", wave()), ("./usr/data.pk3", archive.getvalue())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

    def download(command, cwd, **kwargs):
        (Path(cwd) / f"{command[-1]}_1_all.deb").write_bytes(content.getvalue())

    started = subprocess.Popen
    monkeypatch.setattr(packaged_sounds.subprocess, "run", download)
    monkeypatch.setattr(
        packaged_sounds.subprocess,
        "Popen",
        lambda command, **kwargs: started(["cat", command[-1]], **kwargs),
    )


ROWS = [
    row("usr/shot.wav", "gunshot"),
    row("usr/shot.wav", "background", "0", "2"),
    row("usr/data.pk3::sound/bell.wav", "bell", alike="yes"),
]


def test_sounds_are_cut_out_of_a_package_and_stand_in_the_corpus(root, package, tmp_path):
    target = tmp_path / "target"
    source = packaged_sounds.link_corpus(root, target)
    for found, content in packaged_sounds.sounds_of("game", ROWS):
        packaged_sounds.write_sound(found, content, source)
    packaged_sounds.extend_lists(target, ROWS)
    new = {
        subset: [e for e in bank.read_entries(target, subset) if e.source == "Debian game"]
        for subset in ("devtrain2", "other")
    }
    assert [e.kind for e in new["devtrain2"]] == ["gunshot", "bg"]
    assert [e.kind for e in new["other"]] == ["bell", "bg"]
    assert all(bank.is_permissive(e) for own in new.values() for e in own)
    shot, scene = new["devtrain2"]
    assert soundfile.info(shot.path).duration == pytest.approx(0.75, abs=1e-3)
    assert len(bank.read_sound(shot).samples) == pytest.approx(0.75 * RATE, abs=RATE / 50)
    assert soundfile.info(scene.path).duration == 30
    # What may be taken for a shot is no negative of one.
    assert any(part in f"bell/{new['other'][0].path.stem}" for part in bank.LIKE_CLASSES)
    assert len(bank.read_entries(target, "devtrain2")) == 2 + 2
    assert len(bank.read_entries(root, "devtrain2")) == 2  # the corpus itself stays as it is


def test_a_file_that_the_package_lacks_is_named(package):
    with pytest.raises(SystemExit, match=r"game has no usr/other\.wav"):
        list(packaged_sounds.sounds_of("game", [row("usr/other.wav", "bell")]))


def test_the_table_of_packaged_sounds():
    rows = [own for packages in packaged_sounds.read_table().values() for own in packages]
    assert len({(own["package"], own["file"], own["onset"]) for own in rows}) == len(rows)
    assert all(0 <= float(own["onset"]) < float(own["offset"]) for own in rows)
    assert {own["alike"] for own in rows} == {"", "yes"}
    assert not any(own["alike"] for own in rows if own["label"] in bank.CLASSES)
    with packaged_sounds.TABLE.open() as file:
        assert next(csv.reader(file)) == ["package", "file", "label", "onset", "offset", "alike"]


def test_weights_go_on_with_labels_that_they_did_not_know():
    args = train_weights.parse_args(["general", "--gru-units", "2", "--dense-units", "4"])
    old, new = (train_weights.build(args, n).state_dict() for n in (2, 3))
    start = {"weights": old, "labels": ["bell", "horn"]}
    labels = ["bell", "drum", "horn"]
    taken = export_weights.taken_over(new, labels, start)
    train_weights.build(args, 3).load_state_dict(taken)
    assert all(taken[k].equal(v) for k, v in old.items() if v.shape == taken[k].shape)
    # The first of the classes is the background, and each label has two regressions.
    for name, known, unknown in (
        ("head.classes.weight", [0, 1, 3], [2]),
        ("head.regression.bias", [0, 1, 4, 5], [2, 3]),
        ("step_classifier.weight", [0, 2], [1]),
    ):
        assert taken[name][known].equal(old[name])
        assert taken[name][unknown].equal(new[name][unknown])
    mean = export_weights.average([start, {"weights": new, "labels": labels}])["weights"]
    for name, value in mean.items():
        if value.is_floating_point():
            assert torch.allclose(value, (taken[name] + new[name]) / 2), name
    with pytest.raises(ValueError, match="different labels"):
        export_weights.average([{"weights": new, "labels": labels}, start])


def test_the_mean_normalizes_by_no_more_than_any_training_has_seen():
    """It kept the context of the last file, unlike `average_weights`."""
    name = "extractor.normalization.context"
    parts = [{"weights": {name: torch.tensor(n)}, "labels": ["dog"]} for n in (200, 60, 90)]
    for files in (parts, parts[::-1]):
        assert int(export_weights.average(files)["weights"][name]) == 60
