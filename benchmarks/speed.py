"""Speed and memory, each as a ratio against a named reference in the same run.

python benchmarks/speed.py [lfbe step predict peer onnx mixtures memory long import]
"""

from __future__ import annotations

import argparse
import os
import platform
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


def peak_memory():
    """Bytes of this process at their most (Linux); getrusage would count its parent's, too."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


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


def _precisions():
    """bfloat16 only where the processor has it: emulated it takes minutes and tells nothing."""
    from sklearn_rcrnn.training.device import bfloat16_supported

    return ("float32", "bfloat16") if bfloat16_supported("cpu") else ("float32",)


def _autocast(precision):
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


def _training_step(detector, features, y):
    """A function that does one step of the detector's training on these clips."""
    from sklearn_rcrnn.events import check_event_lists
    from sklearn_rcrnn.training.data import collate_training
    from sklearn_rcrnn.training.targets import to_target

    net = detector.net_
    labels, step = detector.classes_.tolist(), 8 * detector.frame_shift
    targets = [to_target(clip, labels, step) for clip in check_event_lists(y)]
    batch = collate_training(list(zip(features, targets, strict=True)))

    def full():
        net.history.new_epoch()
        net.history.new_batch()
        net.train_step(batch)

    return full


def step(repeats):
    import torch

    features, y = _clips(16)
    tensor = torch.from_numpy(features)
    for precision in _precisions():
        detector = _detector(features, y, precision)
        net = detector.net_
        full = _training_step(detector, features, y)

        def bare(net=net, crnn=net.module_.extractor, precision=precision):
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
    for precision in _precisions():
        detector = _detector(features, y, precision)
        crnn = detector.net_.module_.extractor

        def bare(crnn=crnn, precision=precision):
            with torch.inference_mode(), _autocast(precision):
                for start in range(0, 64, 16):
                    crnn.eval()(torch.from_numpy(features[start : start + 16]))

        seconds, reference = interleaved([lambda d=detector: d.predict(features), bare], repeats)
        report(f"predict, 64 clips, {precision}", seconds, "bare CRNN", reference, 1.5)


def peer(repeats):
    """Events from features, beside the frame-level CRNN on the same clips."""
    from sklearn_rcrnn import FrameDetector

    features, y = _clips(64)
    ours = _detector(features[:16], y[:16], "float32")
    crnn = FrameDetector("crnn", max_epochs=1, validation_fraction=None, random_state=0)
    crnn.fit(features[:16], y[:16])
    seconds, reference = interleaved(
        [lambda: ours.predict(features), lambda: crnn.predict(features)], repeats
    )
    report("predict, 64 clips", seconds, "frame-level CRNN", reference, "as it is")


def mixtures(repeats):
    """Fresh mixtures with their features by one process, beside the training that eats them."""
    import tempfile
    from pathlib import Path

    from sklearn_rcrnn import LFBETransformer
    from sklearn_rcrnn.datasets import FreshMixtures

    with tempfile.TemporaryDirectory() as folder:
        stream = FreshMixtures(_source_material(Path(folder)), mixture_length=10)
    stream = LFBETransformer().transform(stream)
    features = np.random.default_rng(0).normal(size=(16, 430, 64)).astype(np.float32)
    y = [[(3.0, 5.0, "abc"[i % 3])] for i in range(16)]
    step = _training_step(_detector(features, y, "float32"), features, y)
    seconds, reference = interleaved(
        [lambda: [stream.draw(1, i) for i in range(16)], step], repeats
    )
    report("16 fresh mixtures of 10 s", seconds, "training step", reference, "1 (one process)")


def _source_material(folder):
    """Ten events and four backgrounds of noise in the challenge's layout."""
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


def long(repeats):
    """Peak memory of a recording in blocks, of one minute and of 24 hours."""
    seconds = os.environ.get("_SPEED_LONG")
    if seconds is None:
        peaks = []
        for length in (60, 24 * 3600):
            out = subprocess.run(
                [sys.executable, __file__, "long"],
                env={**os.environ, "_SPEED_LONG": str(length)},
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()
            peaks.append(float(out[-2]))
            speed = length / float(out[-1])
        print(
            f"recording of 24 h: peak {peaks[1]:.0f} MB, of 1 min: {peaks[0]:.0f} MB, "
            f"{peaks[1] - peaks[0]:.0f} MB more (at most 300); {speed:.0f} x real time",
            flush=True,
        )
        return
    from sklearn_rcrnn import detect_stream, load_pretrained

    pipe = load_pretrained().set_params(detector__max_events_per_clip=None)
    rng = np.random.default_rng(0)
    minute = (0.01 * rng.normal(size=60 * 44100)).astype(np.float32)
    started = time.perf_counter()
    for _ in detect_stream(pipe, (minute for _ in range(int(seconds) // 60))):
        pass
    print(peak_memory() / 2**20, time.perf_counter() - started, flush=True)


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
    peak = peak_memory()
    bound = features.nbytes + 2 * 2**30
    print(
        f"fit, 1,000 clips of 30 s: peak {peak / 2**30:.2f} GiB; features "
        f"{features.nbytes / 2**30:.2f} GiB; {peak / bound:.2f} of features + 2 GiB (at most 1)",
        flush=True,
    )


def onnx(repeats):
    import tempfile

    import onnxruntime

    from sklearn_rcrnn import export_onnx, load_pretrained

    detector = load_pretrained()[-1]
    clip = _clips(1)[0][0]
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(detector, os.path.join(folder, "model.onnx"))
        session = onnxruntime.InferenceSession(path)
    runs = [
        lambda: session.run(None, {"features": clip}),
        lambda: detector.predict([clip]),
    ]
    seconds, reference = interleaved(runs, repeats)
    report("exported graph, 1 clip", seconds, "predict", reference, 1.5)


def import_(repeats):
    def run(code):
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    ours, reference = interleaved([run("import sklearn_rcrnn"), run("import numpy")], repeats)
    report("import sklearn_rcrnn", ours, "import numpy", reference, "300 ms")
    command = [os.path.join(os.path.dirname(sys.executable), "rcrnn"), "--help"]
    ours, reference = interleaved(
        [
            lambda: subprocess.run(command, check=True, capture_output=True),
            run("import numpy"),
        ],
        repeats,
    )
    report("rcrnn --help", ours, "import numpy", reference, "700 ms")


def main():
    sections = {
        "lfbe": lfbe,
        "step": step,
        "predict": predict,
        "peer": peer,
        "onnx": onnx,
        "mixtures": mixtures,
        "memory": memory,
        "long": long,
        "import": import_,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", default=list(sections))
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if not {"_SPEED_MEMORY", "_SPEED_LONG"} & set(os.environ):
        print(f"{platform.machine()}, {os.cpu_count()} cores, seed 0, median of {args.repeats}")
    for name in args.sections:
        sections[name](args.repeats)


if __name__ == "__main__":
    main()
