"""How time and memory grow when the work is doubled.

python benchmarks/speed/growth.py

For clips, length, labels, recurrent units and dense units: an epoch of training and `predict`
with twice as much, beside once. 2 is in proportion, 1 is no growth. Memory is the peak of a
process of its own that trains and predicts, less that of one that only imports.
"""

from __future__ import annotations

import json
import subprocess
import sys

from timing import Report, clips, fitted, interleaved, parse, peak_memory

ONCE = {"clips": 16, "frames": 646, "labels": 3, "gru_units": 50, "dense_units": 128}


def work(size):
    """Make functions that train for an epoch, and that predict."""
    features, y = clips(size["clips"], size["frames"], size["labels"])
    params = {name: size[name] for name in ("gru_units", "dense_units")}
    detector = fitted(features, y, **params)
    return lambda: fitted(features, y, **params), lambda: detector.predict(features)


def memory(size):
    command = [sys.executable, __file__, "--child", json.dumps(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    args = parse(__doc__, child="")
    if args.child:
        import sklearn_rcrnn.detector  # noqa: F401

        before = peak_memory()
        for function in work(json.loads(args.child)):
            function()
        print(peak_memory() - before)
        return
    report = Report(args)
    once, used = work(ONCE), memory(ONCE)
    for name in ONCE:
        double = {**ONCE, name: 2 * ONCE[name]}
        costs = interleaved([*once, *work(double)], args.repeats, args.seconds)
        report.row(f"epoch, {double[name]} {name}", costs[2], costs[0], f"{ONCE[name]} {name}")
        report.row(f"`predict`, {double[name]} {name}", costs[3], costs[1], f"{ONCE[name]} {name}")
        report.fact(f"memory, {double[name]} {name}: {memory(double) / used:.2f} of {used:.0f} MB")


if __name__ == "__main__":
    main()
