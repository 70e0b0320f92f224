"""A corpus in the challenge's layout, written from samples."""

from __future__ import annotations

import soundfile
import yaml

RATE = 44100


def write_subset(source, subset, backgrounds, events):
    """Write recordings and the subset's lists into the folder `source` (``source_data``).

    Backgrounds are ``{name: samples}``, events
    ``{label: [(name, samples, sample rate, (start, end) of the segment)]}``.
    """
    setup = source / "cv_setup"
    setup.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, samples in backgrounds.items():
        _write(source / "bgs" / name, samples, RATE)
        lines.append({"filepath": name, "classname": "home", "classid": 1})
    (setup / f"bgs_{subset}.yaml").write_text(yaml.safe_dump(lines))
    entries = {}
    for label, own in events.items():
        entries[label] = []
        for name, samples, rate, segment in own:
            _write(source / "events" / label / name, samples, rate)
            entries[label].append({"audio_filename": name, "segment": list(segment)})
    (setup / f"events_{subset}.yaml").write_text(yaml.safe_dump(entries))


def _write(path, samples, rate):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
