"""The folders and files of DCASE 2017 task 2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from .._utils.files import complete
from ..annotations.tables import read_events

CLASSES = ("babycry", "glassbreak", "gunshot")
DEVELOPMENT = "TUT-rare-sound-events-2017-development"
EVALUATION = "TUT-rare-sound-events-2017-evaluation"


def data_folder(root: str | PathLike[str], package: str = DEVELOPMENT) -> Path:
    """The folder with ``source_data`` or ``mixture_data`` at or under `root`."""
    root = Path(root)
    for folder in (root, root / "data", root / package / "data"):
        if (folder / "source_data").is_dir() or (folder / "mixture_data").is_dir():
            return folder
    raise FileNotFoundError(
        f"{root} holds neither source_data nor mixture_data (nor do its folders data and "
        f"{package}/data): it is not laid out as DCASE 2017 task 2"
    )


def check_classes(
    classes: Iterable[str] | None, there: Iterable[str], where: str | PathLike[str]
) -> None:
    """Raise ValueError for classes that a folder has no events of."""
    missing = [name for name in classes or () if name not in set(there)]
    if missing:
        raise ValueError(f"{where} has no events of {missing}; it has {sorted(there)}")


def read_cv_setup(folder: Path, subset: str) -> tuple[dict[str, list[dict]], list[dict]]:
    """Event segments by class, and backgrounds, of a subset."""
    setup = folder / "source_data" / "cv_setup"
    return _read(setup / f"events_{subset}.yaml"), _read(setup / f"bgs_{subset}.yaml")


def _read(path: Path) -> Any:
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.yaml"))
        raise FileNotFoundError(f"{path} is missing; {path.parent} has {there}")
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def recording_of(entry: Mapping[str, Any]) -> str:
    """The recording that an entry of a ``cv_setup`` list is a piece of.

    The challenge numbers the pieces of a recording with one number for events and two for
    backgrounds, at the end of the file names.
    """
    if "audio_filename" in entry:
        return str(entry["audio_filename"]).rsplit("_", 1)[0]
    return str(entry["filepath"]).rsplit("_", 2)[0]


def mixture_hashes(
    mixtures_per_class: int, event_presence_prob: float, ebrs: Any, seed: int
) -> tuple[str, ...]:
    """Names that the challenge's mixer gives the folder of mixtures with these parameters.

    The first is of the PyYAML of its time, under which the official mixtures were made.
    """
    params = {
        "event_presence_prob": event_presence_prob,
        "mixtures_per_class": mixtures_per_class,
        "ebrs": list(ebrs),
        "seed": seed,
    }
    texts = (yaml.dump(params, default_flow_style=style) for style in (None, False))
    return tuple(hashlib.md5(text.encode()).hexdigest() for text in texts)


def write_meta(folder: Path, recipes: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write recipes and event lists of each class as the challenge's mixer does."""
    folder.mkdir(parents=True, exist_ok=True)
    for label, own in recipes.items():
        if not own:
            continue
        name = own[0]["mixture_audio_filename"]
        subset = name.removeprefix("mixture_").split(f"_{label}_")[0]
        text = yaml.safe_dump([dict(recipe) for recipe in own], default_flow_style=False)
        lines = "".join(recipe["annotation_string"] + "\n" for recipe in own)
        for name, content in (
            (f"mixture_recipes_{subset}_{label}.yaml", text),
            (f"event_list_{subset}_{label}.csv", lines),
        ):
            with complete(folder / name) as partial:
                partial.write_text(content)


def read_event_list(path: Path) -> list[tuple[str, list[tuple[float, float, str]]]]:
    """Files and their events from a challenge event list, in the order of the list.

    Lines are ``file``, or ``file onset offset label`` separated by tabs.
    """
    events = read_events(path, "dcase")
    return [
        (name, [(e.onset, e.offset, str(e.label)) for e in own]) for name, own in events.items()
    ]
