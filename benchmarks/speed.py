"""Speed and memory, each as a ratio against a named reference in the same run.

python benchmarks/speed.py [lfbe step predict memory import]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

import numpy as np


def interleaved(functions, repeats):
    """Median seconds of each function; taken in turn, so that a slow spell hits all."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, own in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def report(what, seconds, reference, reference_seconds, bound):
    ratio = seconds / reference_seconds
    print(
        f"{what:<34}{1e3 * seconds:9.1f} ms{1e3 * reference_seconds:9.1f} ms"
        f"{ratio:7.2f}  (at most {bound}) vs {reference}",
        flush=True,
    )


def lfbe(repeats):
    import librosa

    from sklearn_rcrnn import LFBETransformer

    clips = np.random.default_rng(0).normal(scale=0.1, size=(64, 30 * 44100)).astype(np.float32)

    def loop():
        for clip in clips:
            librosa.feature.melspectrogram(y=clip, sr=44100, n_fft=2048, hop_length=1024, n_mels=64)

    one, two = LFBETransformer(), LFBETransformer(n_jobs=2)
    runs = [loop, lambda: one.transform(clips), lambda: two.transform(clips)]
    reference, *ours = interleaved(runs, repeats)
    for n_jobs, seconds in zip((1, 2), ours, strict=True):
        report(f"LFBE, 64 clips, n_jobs={n_jobs}", seconds, "librosa loop", reference, 1.0)


def _detector(features, y, precision):
    from sklearn_rcrnn import RCRNNDetector

    detector = RCRNNDetector(
        max_epochs=1, precision=precision, random_state=0, validation_fraction=None
    )
    return detector.fit(features, y)


def _clips(n):
    features = np.random.default_rng(0).normal(size=(n, 1292, 64)).astype(np.float32)
    return features, [[(3.0 + i % 20, 5.0 + i % 20, "abc"[i % 3])] for i in range(n)]


def _autocast(precision):
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def step(repeats):
    import torch

    from sklearn_rcrnn.conversion import to_target
    from sklearn_rcrnn.events import check_event_lists
    from sklearn_rcrnn.training import collate_detection

    features, y = _clips(16)
    for precision in ("float32", "bfloat16"):
        detector = _detector(features, y, precision)
        net = detector.net_
        crnn = net.module_.crnn
        events = check_event_lists(y)
        labels, step = detector.classes_.tolist(), 8 * detector.frame_shift
        targets = [to_target(clip, labels, step) for clip in events]
        batch = collate_detection(list(zip(features, targets, strict=True)))
        tensor = torch.from_numpy(features)

        def full(net=net, batch=batch):
            net.history.new_epoch()
            net.history.new_batch()
            net.train_step(batch)

        def bare(net=net, crnn=crnn, tensor=tensor, precision=precision):
            net.module_.train()
            net.module_.zero_grad()
            with _autocast(precision):
                loss = crnn(tensor).square().mean()
            loss.backward()

        seconds, reference = interleaved([full, bare], repeats)
        report(f"training step, 16 clips, {precision}", seconds, "bare CRNN", reference, 1.3)


def predict(repeats):
    import torch

    features, y = _clips(64)
    for precision in ("float32", "bfloat16"):
        detector = _detector(features, y, precision)
        crnn = detector.net_.module_.crnn

        def bare(crnn=crnn, precision=precision):
            with torch.inference_mode(), _autocast(precision):
                for start in range(0, 64, 16):
                    crnn.eval()(torch.from_numpy(features[start : start + 16]))

        seconds, reference = interleaved([lambda d=detector: d.predict(features), bare], repeats)
        report(f"predict, 64 clips, {precision}", seconds, "bare CRNN", reference, 1.5)


def memory(repeats):
    """Peak memory of a process that fits on 1,000 clips, its features included."""
    if os.environ.get("_SPEED_MEMORY") != "1":
        subprocess.run(
            [sys.executable, __file__, "memory"],
            env={**os.environ, "_SPEED_MEMORY": "1"},
            check=True,
        )
        return
    features, y = _clips(1000)
    _detector(features, y, "auto")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    bound = features.nbytes + 2 * 2**30
    print(
        f"fit, 1,000 clips of 30 s: peak {peak / 2**30:.2f} GiB; features "
        f"{features.nbytes / 2**30:.2f} GiB; {peak / bound:.2f} of features + 2 GiB (at most 1)",
        flush=True,
    )


def import_(repeats):
    def run(code):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    ours, reference = interleaved([run("import sklearn_rcrnn"), run("import numpy")], repeats)
    report("import sklearn_rcrnn", ours, "import numpy", reference, "300 ms")


def main():
    sections = {
        "lfbe": lfbe,
        "step": step,
        "predict": predict,
        "memory": memory,
        "import": import_,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", default=list(sections))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if os.environ.get("_SPEED_MEMORY") != "1":
        print(f"{platform.machine()}, {os.cpu_count()} cores, seed 0, median of {args.repeats}")
    for name in args.sections:
        sections[name](args.repeats)


if __name__ == "__main__":
    main()
