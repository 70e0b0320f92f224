"""LFBEs beside a loop over librosa, clip by clip and block by block.

python benchmarks/speed/features.py [--clips 32]
"""

from __future__ import annotations

import numpy as np
from timing import CLIP, RATE, Report, interleaved, parse


def main() -> None:
    import librosa

    from sklearn_rcrnn import LFBETransformer

    args = parse(__doc__, clips=32)
    report = Report(args)
    rng = np.random.default_rng(0)
    samples = rng.normal(scale=0.1, size=(args.clips, round(CLIP * RATE))).astype(np.float32)

    def loop():
        for clip in samples:
            librosa.feature.melspectrogram(y=clip, sr=RATE, n_fft=2048, hop_length=1024, n_mels=64)

    one, two = LFBETransformer(), LFBETransformer(n_jobs=2)
    runs = [
        loop,
        lambda: one.transform(samples),
        lambda: two.transform(samples),
        lambda: list(one.transform_blocks(samples)),
    ]
    names = ["LFBEs, n_jobs=1", "LFBEs, n_jobs=2", "LFBEs of blocks"]
    reference, *ours = interleaved(runs, args.repeats, args.seconds)
    for name, cost in zip(names, ours, strict=True):
        report.row(f"{name}, {args.clips} clips of 30 s", cost, reference, "librosa", 1)


if __name__ == "__main__":
    main()
