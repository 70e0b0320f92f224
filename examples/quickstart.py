"""Train a detector on synthesized recordings, score it, and draw what it finds.

    python examples/quickstart.py

Everything is made by the package: nothing is downloaded. Prints scores on recordings
that were not trained on and writes a picture of one of them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np

from sklearn_rcrnn import make_rcrnn_pipeline
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.displays import EventsDisplay
from sklearn_rcrnn.metrics import event_based_error_rate, event_based_f_score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("demo_events.png"))
    args = parser.parse_args()
    started = time.time()

    settings = {"duration": 5.0, "max_events": 2, "ebr": (6.0, 18.0)}
    X, y = make_rare_events(args.clips, random_state=args.seed, **settings)
    X_test, y_test = make_rare_events(100, random_state=args.seed + 1, **settings)
    print(f"{len(X)} clips to train on, {len(X_test)} to test on, 5 s each")

    pipe = make_rcrnn_pipeline(
        batch_size=8,
        max_epochs=args.epochs,
        n_jobs=2,
        random_state=args.seed,
        verbose=1,
    )
    pipe.fit(X, y)
    found = pipe.predict(X_test)

    print(f"\nTest clips, onset within 0.5 s, seed {args.seed}:")
    print(f"  F-score    {event_based_f_score(y_test, found):.3f}")
    print(f"  error rate {event_based_error_rate(y_test, found):.3f}")
    errors = [
        b.onset - a[0]
        for true, own in zip(y_test, found, strict=True)
        for a in true
        for b in own
        if a[2] == b.label and abs(a[0] - b.onset) <= 0.5
    ]
    print(f"  median onset error {1000 * np.median(errors):+.0f} ms")
    shown = int(np.argmax([len(clip) for clip in y_test]))
    for event in found[shown]:
        print(
            f"  clip {shown}: {event.onset:.2f} s to {event.offset:.2f} s, {event.label}, "
            f"score {event.score:.2f}"
        )
    display = EventsDisplay.from_estimator(pipe, X_test[shown], y_test[shown])
    display.figure_.savefig(args.picture, dpi=120)
    print(f"Picture: {args.picture}   ({time.time() - started:.0f} s in all)")


if __name__ == "__main__":
    main()
