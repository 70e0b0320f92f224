"""A corpus with the sounds of Debian's packages in it, for the trainings of the weights.

    python benchmarks/accuracy/packaged_sounds.py --root ../shared/corpus --into work/corpus

The table ``packaged_sounds.csv`` names 4,200 sounds of games, voices, instruments and desktops
in 278 packages of Debian 12, with the label and the times of each. Debian's guidelines allow
every use of them; each package names its authors and its licenses. This command downloads these
packages with apt-get (4 GB, on Debian 12), takes the sounds out of them, and writes a copy of the
corpus, whose own files are links, in which the subset ``devtrain2`` has the new cries, glasses
and shots besides, and the subset ``other`` the new sounds of all other labels. Both have the new
backgrounds. Test subsets stay as they are. ``train_weights.py --root work/corpus`` learns from it.

How the table was made: a sound begins and ends where its level is 30 dB under its loudest
hundredth of a second. Its label is the group of AudioSet classes to which YAMNet gives the
highest score of at least 0.25; nobody listened to it. Shots, glasses and cries were chosen by the
names of their files. What the tagger takes for a shot or a cry at a score of 0.2 or more, for a
blast at 0.25, or for something that breaks at 0.3, has ``yes`` in the column ``alike``: it is no
negative of a detector of these three. At most 25 sounds of a label, and 12 voices, are of the same
package, out of at most 450 of its files. Backgrounds are files of 12 s and more in which the tagger
hears neither a voice nor music above all, and 40 pieces of music.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
import yaml
from bank import CLASSES
from synthetic_sounds import RATE

TABLE = Path(__file__).with_suffix(".csv")
LICENSE = "DFSG: free by Debian's guidelines; the copyright file of each package"
BACKGROUND = "background"
# Seconds of a background; what is shorter goes on as its own mirror image.
_SCENE = 30
# A file within an archive within a package is named by both, with this between them.
_WITHIN = "::"

Row = dict[str, str]


def read_table() -> dict[str, list[Row]]:
    """The rows of the table by package."""
    packages = defaultdict(list)
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            packages[row["package"]].append(row)
    return dict(packages)


def sounds_of(package: str, rows: list[Row]) -> Iterator[tuple[Row, bytes]]:
    """Download a package, and yield each row with the content of its file."""
    wanted = defaultdict(list)
    for row in rows:
        file, _, inner = row["file"].partition(_WITHIN)
        wanted[file].append((inner, row))
    with tempfile.TemporaryDirectory() as folder:
        command = ["apt-get", "download", "-q", package]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (path,) = Path(folder).glob("*.deb")
        command = ["dpkg-deb", "--fsys-tarfile", str(path)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking,
            tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
        ):
            for member in archive:
                found = wanted.pop(member.name.removeprefix("./"), [])
                content = archive.extractfile(member) if found else None
                if content is not None:
                    yield from _unpacked(content.read(), found)
    if wanted:
        raise SystemExit(f"{package} has no {', '.join(wanted)}: is this Debian 12?")


def _unpacked(content: bytes, found: list[tuple[str, Row]]) -> Iterator[tuple[Row, bytes]]:
    for inner, row in found:
        if not inner:
            yield row, content
            continue
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield row, archive.read(inner)


def name_of(row: Row) -> str:
    """The name of the new file; whether a sound is like one of the classes is read from it."""
    alike = "like-class-" if row["alike"] else ""
    part = hashlib.md5(f"{row['file']} {row['onset']}".encode()).hexdigest()[:8]
    return f"{row['package']}-{alike}{part}.flac"


def write_sound(row: Row, content: bytes, source: Path) -> None:
    """Write an event as it is, or a background of half a minute at 44.1 kHz."""
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    onset, offset = float(row["onset"]), float(row["offset"])
    samples = samples.mean(1)[round(onset * rate) : round(offset * rate)]
    path = source / "events" / row["label"] / name_of(row)
    if row["label"] == BACKGROUND:
        path = source / "bgs" / "audio" / name_of(row)
        samples = soxr.resample(samples, rate, RATE)
        samples = np.resize(np.concatenate([samples, samples[::-1]]), _SCENE * RATE)
        rate = RATE
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(samples, -1, 1), rate)


def link_corpus(root: Path, into: Path) -> Path:
    """Link the audio of the corpus, and copy its lists; returns the new ``source_data``."""
    source, target = root.resolve() / "source_data", into / "source_data"
    for path in [*source.glob("events/*/*"), *source.glob("bgs/audio/*")]:
        link = target / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
    shutil.copytree(source / "cv_setup", target / "cv_setup", dirs_exist_ok=True)
    shutil.copy(root / "provenance.csv", into / "provenance.csv")
    return target


def extend_lists(into: Path, rows: list[Row]) -> None:
    """Add the new sounds to the subsets, and to the table of where each file comes from."""
    setup = into / "source_data" / "cv_setup"
    scenes = [row for row in rows if row["label"] == BACKGROUND]
    for subset in ("devtrain2", "other"):
        path = setup / f"bgs_{subset}.yaml"
        listed = yaml.safe_load(path.read_text())
        listed += [{**listed[0], "filepath": f"audio/{name_of(row)}"} for row in scenes]
        path.write_text(yaml.safe_dump(listed))
        path = setup / f"events_{subset}.yaml"
        events = yaml.safe_load(path.read_text())
        for row in rows:
            if row["label"] != BACKGROUND and subset_of(row) == subset:
                length = float(row["offset"]) - float(row["onset"])
                entry = {"audio_filename": name_of(row), "segment": [0.0, length]}
                events.setdefault(row["label"], []).append(entry)
        path.write_text(yaml.safe_dump(events))
    with (into / "provenance.csv").open("a", newline="") as file:
        writer = csv.writer(file)
        for row in rows:
            scene = row["label"] == BACKGROUND
            folder = "bgs/audio" if scene else f"events/{row['label']}"
            place = [f"{folder}/{name_of(row)}", f"Debian {row['package']}", row["file"]]
            kind = "bg" if scene else "event"
            writer.writerow([subset_of(row), kind, *place, row["file"], LICENSE])


def subset_of(row: Row) -> str:
    """The subset in which a sound is an event; backgrounds are in both, and named for the first."""
    return "devtrain2" if row["label"] in (*CLASSES, BACKGROUND) else "other"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--into", type=Path, required=True, help="folder of the new corpus")
    parser.add_argument("--jobs", type=int, default=6, help="packages downloaded at once")
    args = parser.parse_args()
    packages = read_table()
    source = link_corpus(args.root, args.into)

    def take(package: str) -> None:
        for row, content in sounds_of(package, packages[package]):
            write_sound(row, content, source)

    with ThreadPoolExecutor(args.jobs) as pool:
        for done, _ in enumerate(pool.map(take, packages), start=1):
            print(f"\r{done} of {len(packages)} packages", end="", flush=True)
    extend_lists(args.into, [row for rows in packages.values() for row in rows])
    print(f"\n{args.into}: the corpus with the sounds of {len(packages)} packages")


if __name__ == "__main__":
    main()
