"""A training step beside forward and backward of the bare network, and the loader beside a step.

python benchmarks/speed/training.py [--clips 16]

"Bare" trains no proposals and no classifier: the mean square of the feature map, or of the
outputs of a frame-level network, is its loss.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from timing import Report, autocast, clips, fitted, interleaved, parse, precisions, training_step


def main() -> None:
    args = parse(__doc__, clips=16)
    report = Report(args)
    features, y = clips(args.clips)
    for precision in precisions():
        detector = fitted(features, y, precision=precision)
        extractor = detector.net_.module_.extractor
        steps = [training_step(detector, features, y), bare_step(extractor, features, precision)]
        mine, theirs = interleaved(steps, args.repeats, args.seconds)
        report.row(f"training step, {precision}", mine, theirs, "bare", 1.05)
    frame_level(features, y, report, args)
    loader(report, args)


def bare_step(module, features, precision="float32"):
    import torch

    tensor = torch.from_numpy(features)

    def step():
        module.train()
        module.zero_grad()
        with autocast(precision):
            loss = module(tensor).float().square().mean()
        loss.backward()

    return step


def frame_level(features, y, report, args):
    from sklearn_rcrnn import FrameDetector
    from sklearn_rcrnn.nn.frame_networks import NETWORKS

    for name in NETWORKS:
        settings = {"max_epochs": 1, "validation_fraction": None, "random_state": 0}
        rival = FrameDetector(name, precision="float32", **settings).fit(features, y)
        step = training_step(rival, features, y)
        mine, theirs = interleaved(
            [step, bare_step(rival.net_.module_, features)], args.repeats, args.seconds
        )
        report.row(f'step of FrameDetector("{name}")', mine, theirs, "its bare network", 1.2)


def loader(report, args):
    """Fresh mixtures with features from one process, compared with the step that uses them."""
    from sklearn_rcrnn import LFBETransformer
    from sklearn_rcrnn.datasets import FreshMixtures

    with tempfile.TemporaryDirectory() as folder:
        stream = FreshMixtures(_source_material(Path(folder)), mixture_length=10)
    stream = LFBETransformer().transform(stream)
    features, y = clips(args.clips, frames=430)
    step = training_step(fitted(features, y, precision="float32"), features, y)

    def draw():
        return [stream.draw(1, i) for i in range(args.clips)]

    mine, theirs = interleaved([draw, step], args.repeats, args.seconds)
    report.row(
        f"{args.clips} fresh mixtures of 10 s, one process", mine, theirs, "training step", 1
    )


def _source_material(folder):
    """Write ten events and four backgrounds of noise in the challenge's layout."""
    import soundfile
    import yaml

    rng = np.random.default_rng(0)
    source = folder / "source_data"
    for name in ("events/noise", "bgs", "cv_setup"):
        (source / name).mkdir(parents=True)
    events, backgrounds = [], []
    for i in range(10):
        soundfile.write(source / f"events/noise/{i}.wav", rng.normal(size=88200) / 10, 44100)
        events.append({"audio_filename": f"{i}.wav", "segment": [0.0, 2.0]})
    for i in range(4):
        soundfile.write(source / f"bgs/{i}.wav", rng.normal(size=30 * 44100) / 100, 44100)
        backgrounds.append({"filepath": f"{i}.wav", "classname": "x", "classid": 1})
    (source / "cv_setup/events_devtrain.yaml").write_text(yaml.safe_dump({"noise": events}))
    (source / "cv_setup/bgs_devtrain.yaml").write_text(yaml.safe_dump(backgrounds))
    return folder


if __name__ == "__main__":
    main()
