"""Seconds that an hour of audio takes from features to events: ours, R-FCN, frame-level rivals.

python benchmarks/speed/rivals.py [--clips 20]

The networks are new; what they find is nothing, and how good they are stands in the results.
"""

from __future__ import annotations

from timing import CLIP, Report, clips, fitted, interleaved, parse


def main() -> None:
    from sklearn_rcrnn import FrameDetector
    from sklearn_rcrnn.nn.frame_networks import NETWORKS

    args = parse(__doc__, clips=20)
    report = Report(args)
    features, y = clips(args.clips)
    few = features[:8], y[:8]
    settings = {"max_epochs": 1, "validation_fraction": None, "random_state": 0}
    detectors = {
        "R-CRNN": fitted(*few),
        "R-FCN": fitted(*few, extractor="cnn", head="position_sensitive"),
    }
    for name in NETWORKS:
        detectors[f'FrameDetector("{name}")'] = FrameDetector(name, **settings).fit(*few)
    runs = [lambda own=own: own.predict(features) for own in detectors.values()]
    costs = interleaved(runs, args.repeats, args.seconds)
    hours = args.clips * CLIP / 3600
    for name, cost in zip(detectors, costs, strict=True):
        hour = type(cost)(*(seconds / hours for seconds in cost))
        reference = type(cost)(*(seconds / hours for seconds in costs[0]))
        report.row(f"{name}, an hour", hour, reference, "R-CRNN")


if __name__ == "__main__":
    main()
