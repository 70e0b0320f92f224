"""The material that mixtures are made of: event segments and backgrounds, and who may use it.

A bank is read from a folder laid out as the challenge's, with the ``provenance.csv`` that names
source and license of each file. What it leaves out (licenses, sources, recordings) is chosen
here, so that no training can hear it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from synthetic_sounds import KINDS, RATE, synthesize

CLASSES = ("babycry", "glassbreak", "gunshot")
# Licenses that allow training on the material for any purpose.
PERMISSIVE = re.compile(r"^(ODbL|CC0|CC[ -]BY(-SA| 4|\b(?!-NC))|CC BY-SA|GPL|DFSG)")
# Segments whose label is wrong according to an audio tagger: voices among the cries, water and
# doors among the shots.
MISLABELLED = (
    "dac-2ad6d558_0", "dac-c10e2b0f_0", "dac-5b416ce8_0", "gabe4024_0", "gabe14381_0",
)  # fmt: skip
# Segments of other labels that the same tagger takes for one of the three classes: breaking
# crockery and panes, explosions of games, a cry. They must not be negatives.
LIKE_CLASSES = (
    "ceramic/", "hedgewars-data-4c539f86", "hedgewars-data-7c32ab52", "hedgewars-data-7c09db94",
    "cc-smash-smash_glass", "cc-smash_fail-glass", "cc-smash_success-brick", "cc-tool-pickaxe_1",
    "breakwood05", "breakwood06", "breakelectric02", "breakmetal01", "like-class",
)  # fmt: skip
# Sources that a judge does not hear, by label: for each label one that differs from the rest.
FOREIGN = {
    ("babycry", "giulbia/baby_cry_detection"),
    ("glassbreak", "AssafAssaf/GlassBreakageDetector"),
    ("glassbreak", "Debian ufoai-sound"),
    ("gunshot", "gabemagee/gunshot_detection"),
    ("gunshot", "Fris0uman/CDDA-Soundpacks"),
}
# Backgrounds that a judge does not hear: a café, a shop, a train, a church, streets, a home,
# machines, nature and weather, by how their recordings' names end.
HELD_SCENES = (
    "coffee_shop", "library", "inside-a-train", "temple", "road", "traffic", "laundry-room",
    "construction-site", "morning_in_a_village", "frog", "seagulls", "walk-in-snow",
    "clear_night_1", "weather_clear_spring", "weather_clear_winter", "weather_cloudy_autumn",
    "weather_sunny_summer", "ambience-wind", "ambience-forest3", "alien_crickets", "tv_newswav",
)  # fmt: skip
# Labels whose sounds also occur in rows; each kind of row has a label of its own.
IN_ROWS = ("footsteps", "keyboard_click", "metal", "mechanism", "thump", "wood")
# A segment begins and ends where its level is this many dB below its loudest 10 ms.
_GATE = 30.0
_QUIETEST = 1e-4


@dataclass
class Sound:
    """An event segment at 44.1 kHz, with its label and its origin."""

    samples: NDArray[np.float32]
    label: str
    source: str
    recording: str


@dataclass
class Bank:
    """Event segments and backgrounds, all in memory.

    ``labels`` are those to detect; sounds with other labels are negatives.
    """

    labels: list[str]
    sounds: list[Sound] = field(default_factory=list)
    backgrounds: list[NDArray[np.float32]] = field(default_factory=list)

    def describe(self) -> str:
        seconds = sum(len(s.samples) for s in self.sounds) / RATE
        return (
            f"{len(self.labels)} labels, {len(self.sounds)} sounds of {seconds:.0f} s, "
            f"{len({s.recording for s in self.sounds})} recordings of "
            f"{len({s.source for s in self.sounds})} sources, {len(self.backgrounds)} backgrounds"
        )


@dataclass(frozen=True)
class Entry:
    """A file of the corpus."""

    path: Path
    kind: str
    source: str
    license: str
    recording: str
    segment: tuple[float, float] | None


def read_entries(root: str | Path, subset: str) -> list[Entry]:
    """The events and backgrounds of a subset, with their provenance."""
    folder = Path(root) / "source_data"
    with (Path(root) / "provenance.csv").open() as file:
        known = {row["file"]: row for row in csv.DictReader(file)}
    scenes = [name for name in known if name.endswith("*")]

    def entry(name: str, kind: str, segment: tuple[float, float] | None) -> Entry:
        # Backgrounds are listed by recording, such as "bgs/audio/rain*" for all its half-minutes.
        row = known.get(name) or known[max((p for p in scenes if name.startswith(p[:-1])), key=len)]
        return Entry(
            folder / name,
            kind,
            source=row["repository"],
            license=row["licence"],
            recording=row["recording"],
            segment=segment,
        )

    setup = folder / "cv_setup"
    events = yaml.safe_load((setup / f"events_{subset}.yaml").read_text())
    backgrounds = yaml.safe_load((setup / f"bgs_{subset}.yaml").read_text())
    found = [
        entry(f"events/{label}/{row['audio_filename']}", label, tuple(row["segment"]))
        for label, rows in events.items()
        for row in rows
    ]
    return found + [entry(f"bgs/{row['filepath']}", "bg", None) for row in backgrounds]


def is_permissive(entry: Entry) -> bool:
    """Whether the license of a file lets anybody train on it for any purpose."""
    return PERMISSIVE.match(entry.license) is not None


def read_sound(entry: Entry) -> Sound:
    """The segment of an event, at 44.1 kHz, without quiet ends."""
    samples = _read(entry.path, entry.segment)
    return Sound(tightened(samples), entry.kind, entry.source, entry.recording)


def _read(path: Path, segment: tuple[float, float] | None = None) -> NDArray[np.float32]:
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(1)
    if segment is not None:
        samples = samples[int(segment[0] * rate) : int(segment[1] * rate)]
    if rate == RATE:
        return samples
    import soxr

    return soxr.resample(samples, rate, RATE).astype(np.float32)


def tightened(samples: NDArray[np.float32], gate: float = _GATE) -> NDArray[np.float32]:
    """Cut samples to the range from the first to the last 10 ms within `gate` dB of the loudest.

    Otherwise an event with silence at its beginning would have a wrong onset.
    """
    hop = RATE // 100
    n = len(samples) // hop
    if n < 3:
        return samples
    energy = (samples[: n * hop].reshape(n, hop) ** 2).mean(1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-gate / 10))
    return samples[loud[0] * hop : (loud[-1] + 1) * hop]


def rare_events_bank(root: str | Path, *, without: Collection[Path] = (), seed: int = 0) -> Bank:
    """Collect the material for the three classes: devtrain2, and `other` as negatives.

    Parameters
    ----------
    root : str or Path
    without : collection of Path
        Files to leave out, of :func:`divide`.
    seed : int
        Of what is synthesized.
    """

    def wanted(entry: Entry) -> bool:
        if entry.kind == "bg" or entry.kind in CLASSES:
            return entry.path not in without and entry.path.stem not in MISLABELLED
        name = f"{entry.kind}/{entry.path.stem}"
        return not any(part in name for part in LIKE_CLASSES)

    bank = Bank(list(CLASSES))
    _read_into(bank, [entry for entry in _training_entries(root) if wanted(entry)])
    _add_synthesized(bank, [k for k in KINDS if k != "jingle"], 20, seed)
    bank.backgrounds += crowds(bank, 12, seed)
    return bank


def divide(root: str | Path, seed: int = 0, fraction: float = 0.12) -> dict[str, list[Entry]]:
    """Choose what a judge must not hear: ``hold``, recordings of known sources, and ``foreign``.

    ``foreign`` are all events of `FOREIGN`, whole sources. Both have the backgrounds of
    `HELD_SCENES`.
    """
    rng = np.random.default_rng([seed, 3])
    parts: dict[str, list[Entry]] = {"hold": [], "foreign": []}
    groups: dict[str, dict[str, list[Entry]]] = {}
    for entry in read_entries(root, "devtrain2"):
        if (entry.kind, entry.source) in FOREIGN:
            parts["foreign"].append(entry)
        elif entry.path.stem not in MISLABELLED:
            groups.setdefault(entry.kind, {}).setdefault(entry.recording, []).append(entry)
    for kind, recordings in sorted(groups.items()):
        order = rng.permutation(len(recordings))
        names = [sorted(recordings)[i] for i in order]
        if kind == "bg":
            held = [name for name in names if name.endswith(HELD_SCENES)]
        else:
            held = names[: max(2, round(fraction * len(names)))]
        for part in parts if kind == "bg" else ["hold"]:
            parts[part] += [entry for name in held for entry in recordings[name]]
    return parts


def write_split(root: str | Path, folder: Path, parts: dict[str, list[Entry]]) -> None:
    """Write subsets of the corpus in the challenge's layout, with links to its audio."""
    source = Path(root).resolve() / "source_data"
    setup = folder / "source_data" / "cv_setup"
    setup.mkdir(parents=True, exist_ok=True)
    for name in ("events", "bgs"):
        if not (setup.parent / name).exists():
            (setup.parent / name).symlink_to(source / name)
    for part, entries in parts.items():
        events: dict[str, list[dict[str, object]]] = {}
        backgrounds = []
        for entry in entries:
            if entry.segment is None:
                name = str(entry.path.relative_to(Path(root) / "source_data" / "bgs"))
                backgrounds.append({"filepath": name, "classname": "scene", "classid": 0})
            else:
                row = {"audio_filename": entry.path.name, "segment": list(entry.segment)}
                events.setdefault(entry.kind, []).append(row)
        (setup / f"events_{part}.yaml").write_text(yaml.safe_dump(events))
        (setup / f"bgs_{part}.yaml").write_text(yaml.safe_dump(backgrounds))


def kept_out_of_general(root: str | Path) -> set[Path]:
    """The files whose license is too narrow for `general`, or whose label is wrong."""
    return {
        entry.path
        for entry in _training_entries(root)
        if not is_permissive(entry) or entry.path.stem in MISLABELLED
    }


def general_bank(root: str | Path, *, seed: int = 0) -> Bank:
    """Collect permissively licensed material of all labels, rows of it, and synthesized sounds."""
    bank = Bank([])
    without = kept_out_of_general(root)
    _read_into(bank, [entry for entry in _training_entries(root) if entry.path not in without])
    bank.sounds += list(rows_of(bank.sounds, 24, seed))
    _add_synthesized(bank, list(KINDS), 40, seed)
    bank.labels = sorted({sound.label for sound in bank.sounds})
    bank.backgrounds += crowds(bank, 50, seed)
    return bank


def _training_entries(root: str | Path) -> list[Entry]:
    """The entries that may be trained on; both subsets have the same backgrounds."""
    others = [entry for entry in read_entries(root, "other") if entry.kind != "bg"]
    return read_entries(root, "devtrain2") + others


def _read_into(bank: Bank, entries: list[Entry]) -> None:
    def read(entry: Entry) -> Sound | NDArray[np.float32]:
        return _read(entry.path) if entry.kind == "bg" else read_sound(entry)

    with ThreadPoolExecutor() as pool:
        for found in pool.map(read, entries):
            if isinstance(found, Sound):
                bank.sounds.append(found)
            else:
                bank.backgrounds.append(found)


def _add_synthesized(bank: Bank, kinds: Iterable[str], n: int, seed: int) -> None:
    for kind in kinds:
        for i, samples in enumerate(synthesize(kind, n, seed)):
            bank.sounds.append(
                Sound(tightened(samples), f"synth_{kind}", "synthesized", f"{kind}-{i}")
            )


def rows_of(sounds: list[Sound], n: int, seed: int) -> Iterable[Sound]:
    """Make rows of short sounds of one label and source: steps, typing, blows."""
    rng = np.random.default_rng([seed, 1])
    for label in IN_ROWS:
        own = [s for s in sounds if s.label == label and len(s.samples) < 0.6 * RATE]
        for i in range(n):
            source = own[rng.integers(len(own))].source
            same = [s for s in own if s.source == source]
            gap, count = rng.uniform(0.09, 0.45), int(rng.integers(3, 11))
            row = np.zeros(int(4.5 * RATE), np.float32)
            end = 0
            for k in range(count):
                part = same[rng.integers(len(same))].samples
                start = int((k * gap + rng.uniform(0, 0.3 * gap)) * RATE)
                if start + len(part) > len(row):
                    break
                row[start : start + len(part)] += rng.uniform(0.5, 1) * part
                end = max(end, start + len(part))
            yield Sound(tightened(row[:end]), f"{label}_row", source, f"{label}-row-{i}")


def crowds(bank: Bank, n: int, seed: int) -> list[NDArray[np.float32]]:
    """Make backgrounds of half a minute from many distant events that are not in `CLASSES`.

    Voices become the murmur of a crowd, steps and clatter that of a street or a kitchen.
    """
    rng = np.random.default_rng([seed, 2])
    groups = [
        [s.samples for s in bank.sounds if s.label in labels]
        for labels in (
            ("speech",),
            ("speech", "shout", "animal"),
            ("footsteps", "speech", "vehicle", "door"),
            ("ceramic", "metal", "wood", "thump", "keyboard_click", "mechanism", "speech"),
            ("synth_splash", "synth_rustle", "synth_buzz", "animal", "synth_chirp"),
        )
    ]
    groups = [group for group in groups if group]
    seeds = rng.integers(2**31, size=n)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda own: _crowd(groups, np.random.default_rng(own)), seeds))


def _crowd(
    groups: list[list[NDArray[np.float32]]], rng: np.random.Generator
) -> NDArray[np.float32]:
    import scipy.fft

    n_samples, n_tail = 30 * RATE, int(0.6 * RATE)
    group = groups[rng.integers(len(groups))]
    scene = np.zeros(n_samples, np.float32)
    for _ in range(int(60 * 6 ** rng.random())):
        part = group[rng.integers(len(group))]
        gain = 10 ** (rng.uniform(-24, 0) / 20) / max(np.sqrt(np.mean(part**2)), _QUIETEST)
        start = int(rng.integers(n_samples))
        end = min(start + len(part), n_samples)
        scene[start:end] += np.float32(gain) * part[: end - start]
    decay = np.exp(-np.arange(n_tail, dtype=np.float32) / RATE * 6.9 / rng.uniform(0.3, 0.9))
    tail = rng.standard_normal(n_tail, np.float32) * decay
    f = scipy.fft.rfftfreq(n_samples, 1 / RATE).astype(np.float32) + 20
    # Sounds that wrap around the end are as distant as all others.
    wet = scipy.fft.rfft(scene) * scipy.fft.rfft(tail, n_samples)
    wet /= 1 + (f / rng.uniform(2000, 12000)) ** 2
    noise = scipy.fft.rfft(rng.standard_normal(n_samples, np.float32))
    noise /= f ** rng.uniform(0.2, 1.2)
    level = 10 ** (rng.uniform(-20, 0) / 20)
    scene = at_unit_level(scipy.fft.irfft(wet, n_samples)) + level * at_unit_level(
        scipy.fft.irfft(noise, n_samples)
    )
    return (0.05 * scene).astype(np.float32)


def at_unit_level(samples: NDArray[Any]) -> NDArray[Any]:
    """Samples with a root mean square of 1; silence stays silence."""
    return samples / max(float(np.sqrt(np.mean(samples**2))), 1e-9)
