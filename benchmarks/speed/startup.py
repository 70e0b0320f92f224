"""What a process takes before it works: imports, and commands on one clip.

python benchmarks/speed/startup.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
from timing import RATE, Report, interleaved, parse


def main() -> None:
    import soundfile

    args = parse(__doc__)
    report = Report(args)
    rcrnn = os.path.join(os.path.dirname(sys.executable), "rcrnn")

    def run(*command):
        return lambda: subprocess.run(command, check=True, capture_output=True)

    with tempfile.TemporaryDirectory() as folder:
        clip = os.path.join(folder, "clip.wav")
        soundfile.write(clip, np.random.default_rng(0).normal(size=30 * RATE) / 100, RATE)
        runs = [
            run(sys.executable, "-c", "import numpy"),
            run(sys.executable, "-c", "import torch, sklearn.pipeline"),
            run(sys.executable, "-c", "import sklearn_rcrnn"),
            run(rcrnn, "--help"),
            run(rcrnn, "models"),
            run(rcrnn, "detect", clip),
        ]
        numpy, heavy, ours, usage, models, detect = interleaved(runs, args.repeats, args.seconds)
    report.row("`import sklearn_rcrnn`", ours, numpy, "`import numpy`")
    report.row("`rcrnn --help`", usage, numpy, "`import numpy`")
    report.row("`rcrnn models`", models, numpy, "`import numpy`", "0.5 s")
    of = "`import torch, sklearn.pipeline`"
    report.row("`rcrnn detect`, one clip of 30 s", detect, heavy, of, "2.5 s")


if __name__ == "__main__":
    main()
