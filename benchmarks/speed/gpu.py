"""What a graphics card makes of the detector: speed beside the bare network, kernels, memory.

python benchmarks/speed/gpu.py [--device cuda|cpu] [--json figures.json]

Every section has a limit of time, and the whole takes under two minutes on a card of 2023.
Each figure is about the shipped model, or a new one of the same size, and about clips of 30 s;
"bare" is the convolutional recurrent network alone, on features that lie on the card already.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings

FRAMES, BANDS, CLIP = 1292, 64, 30.0
LABELS = ("babycry", "glassbreak", "gunshot")


class Bench:
    """The device, the limits of time, and the figures found so far."""

    def __init__(self, args):
        import torch

        self.args = args
        self.device = args.device
        self.cuda = args.device.startswith("cuda")
        self.torch = torch
        self.figures = {}

    def wait(self):
        if self.cuda:
            self.torch.cuda.synchronize()

    def seconds(self, *functions):
        """Median seconds of each function; in turn, so that a slow spell hits all."""
        times = [[] for _ in functions]
        for _ in range(2):  # the first calls choose kernels and take memory
            for function in functions:
                function()
        self.wait()
        end = time.perf_counter() + self.args.limit
        while not times[0] or (time.perf_counter() < end and len(times[0]) < 50):
            for function, own in zip(functions, times, strict=True):
                start = time.perf_counter()
                function()
                self.wait()
                own.append(time.perf_counter() - start)
        return [statistics.median(own) for own in times]

    def pipeline(self):
        """A copy of the model; "new" is one with random weights."""
        from sklearn_rcrnn import list_pretrained, load, load_pretrained, make_rcrnn_pipeline

        name = self.args.model
        if name == "new":
            clips, y = self.clips(3)
            pipe = make_rcrnn_pipeline(max_epochs=1, random_state=0, validation_fraction=None)
            pipe[-1].fit(clips, y)
            return pipe
        return load_pretrained(name) if name in list_pretrained() else load(name)

    def autocast(self, precision):
        kind = self.torch.device(self.device).type
        return self.torch.autocast(
            kind, self.torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=True
        )

    def peak(self, function):
        """GiB on the card at the most while the function runs; None on a processor."""
        if not self.cuda:
            function()
            return None
        self.torch.cuda.reset_peak_memory_stats()
        function()
        self.wait()
        return round(self.torch.cuda.max_memory_allocated() / 2**30, 3)

    def clips(self, n):
        import numpy as np

        rng = np.random.default_rng(0)
        features = rng.normal(size=(n, FRAMES, BANDS)).astype(np.float32)
        return features, [[(3.0 + i % 20, 5.0 + i % 20, LABELS[i % 3])] for i in range(n)]

    def say(self, section, /, **figures):
        """Keep a row of figures, and print it."""
        self.figures.setdefault(section, []).append(figures)
        text = "  ".join(f"{name} {_text(value)}" for name, value in figures.items())
        print(f"{section:<10} {text}", flush=True)


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine(bench):
    import numpy as np
    import torch

    facts = {
        "model": bench.args.model,
        "card": "none",
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    if bench.cuda:
        card = torch.cuda.get_device_properties(0)
        facts["card"] = card.name
        facts["card_GiB"] = round(card.total_memory / 2**30, 1)
        facts["tf32_matmul"] = torch.backends.cuda.matmul.allow_tf32
        facts["tf32_cudnn"] = torch.backends.cudnn.allow_tf32
    facts |= {"python": platform.python_version(), "cores": os.cpu_count()}
    bench.say("machine", **facts)


def prediction(bench):
    """`predict` from arrays in memory, beside the bare network, by batch size and precision."""
    import torch

    detector = bench.pipeline()[-1]
    crnn = detector.net_.module_.extractor.eval()
    for precision in ("float32", "bfloat16"):
        for size in bench.args.batch_sizes:
            features, _ = bench.clips(size)
            detector.set_params(batch_size=size, precision=precision)
            there = torch.from_numpy(features).to(bench.device)

            def bare(there=there, precision=precision):
                with torch.inference_mode(), bench.autocast(precision):
                    crnn(there)

            def ours(features=features):
                detector.predict(features)

            mine, reference = bench.seconds(ours, bare)
            bench.say(
                "predict",
                precision=precision,
                batch=size,
                clips_a_second=size / mine,
                bare_clips_a_second=size / reference,
                over_bare=mine / reference,
                x_real_time=size * CLIP / mine,
                peak_GiB=bench.peak(ours),
            )


def kernels(bench):
    """The part of the time of `predict` and of a training step that the card computes in."""
    from torch.profiler import ProfilerActivity, profile

    size = bench.args.batch_sizes[len(bench.args.batch_sizes) // 2]
    features, y = bench.clips(size)
    detector = bench.pipeline()[-1].set_params(batch_size=size)
    full, _ = _training_step(bench, features, y, "float32")
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * bench.cuda
    for what, function in (("predict", lambda: detector.predict(features)), ("step", full)):
        function()
        bench.wait()
        with profile(activities=activities) as traced:
            start = time.perf_counter()
            for _ in range(3):
                function()
            bench.wait()
            wall = time.perf_counter() - start
        rows = traced.key_averages()
        busy = {row.key: _self_seconds(row, bench.cuda) for row in rows}
        most = sorted(busy, key=busy.get, reverse=True)[:8]
        bench.say(
            "kernels",
            of=what,
            batch=size,
            part_of_the_time=sum(busy.values()) / wall,
            most=[[name[:60], round(busy[name] / wall, 3)] for name in most],
        )


def _self_seconds(row, cuda):
    """Seconds of the row itself: of kernels on the card, of operators on a processor."""
    from torch.autograd import DeviceType

    # Spans with a name, as of the optimizer's step, are on the card's list, too.
    if cuda and (row.device_type != DeviceType.CUDA or row.key.startswith("Optimizer.")):
        return 0.0
    microseconds = row.self_device_time_total if cuda else row.self_cpu_time_total
    return microseconds / 1e6


def _training_step(bench, features, y, precision):
    """A function that does one step of the detector's training, and one of the bare network."""
    from sklearn_rcrnn import RCRNNDetector
    from sklearn_rcrnn.events import check_event_lists
    from sklearn_rcrnn.training.data import collate_training
    from sklearn_rcrnn.training.targets import to_target

    detector = RCRNNDetector(
        max_epochs=1, precision=precision, random_state=0, validation_fraction=None
    )
    detector.fit(features[:4], y[:4])
    net = detector.net_
    step = 8 * detector.frame_shift
    targets = [to_target(clip, list(LABELS), step) for clip in check_event_lists(y)]
    batch = collate_training([(*pair, None) for pair in zip(features, targets, strict=True)])
    there = bench.torch.from_numpy(features).to(bench.device)
    module = net.module_

    def full():
        net.history.new_epoch()
        net.history.new_batch()
        net.train_step(batch)

    def bare():
        module.train()
        module.zero_grad()
        with bench.autocast(precision):
            loss = module.extractor(there).square().mean()
        loss.backward()

    return full, bare


def training(bench):
    """A step of the training beside forward and backward of the bare network."""
    for precision in ("float32", "bfloat16"):
        for size in bench.args.batch_sizes:
            features, y = bench.clips(size)
            full, bare = _training_step(bench, features, y, precision)
            mine, reference = bench.seconds(full, bare)
            bench.say(
                "training",
                precision=precision,
                batch=size,
                clips_a_second=size / mine,
                bare_clips_a_second=size / reference,
                over_bare=mine / reference,
                peak_GiB=bench.peak(full),
            )


def epochs(bench):
    """`fit` as a whole, loader and losses included: clips a second after the first epoch."""
    from sklearn_rcrnn import RCRNNDetector

    size = bench.args.batch_sizes[-1]
    features, y = bench.clips(4 * size)
    for precision in ("float32", "bfloat16"):
        detector = RCRNNDetector(
            max_epochs=4,
            batch_size=size,
            precision=precision,
            random_state=0,
            validation_fraction=None,
        ).fit(features, y)
        seconds = min(detector.history_[:, "dur"])
        rate = len(features) / seconds
        bench.say("epochs", precision=precision, batch=size, clips_a_second=rate)


def events(bench):
    """Events in bfloat16 beside those in float32, and those of the card beside a processor's."""
    import torch

    from sklearn_rcrnn import LFBETransformer
    from sklearn_rcrnn.datasets import make_rare_events

    n = 64 if bench.cuda else 4
    X, _ = make_rare_events(n, duration=CLIP, max_events=4, random_state=0)
    features = LFBETransformer(n_jobs=-1).transform(X)
    detector = bench.pipeline()[-1].set_params(score_threshold=0.1)
    exact = detector.predict(features)
    allowed = torch.backends.cudnn.allow_tf32
    others = {
        "bfloat16": lambda: detector.set_params(precision="bfloat16").predict(features),
    }
    if bench.cuda:
        others["no_tf32"] = lambda: _without_tf32(torch, detector, features)
        others["processor"] = lambda: detector.set_params(device="cpu").predict(features)
    for name, predict in others.items():
        found = predict()
        detector.set_params(precision="float32", device="auto")
        torch.backends.cudnn.allow_tf32 = allowed
        bench.say("events", compared_with=name, clips=n, **_differences(exact, found))


def _without_tf32(torch, detector, features):
    torch.backends.cudnn.allow_tf32 = False
    return detector.predict(features)


def _differences(exact, found):
    """How many events have a partner of their label within 50 ms, and how far apart they are."""
    apart, scores, lonely = [], [], 0
    for own, other in zip(exact, found, strict=True):
        left = list(other)
        for event in own:
            near = [e for e in left if e.label == event.label and abs(e.onset - event.onset) < 0.05]
            if not near:
                lonely += 1
                continue
            partner = min(near, key=lambda e, onset=event.onset: abs(e.onset - onset))
            left.remove(partner)
            apart.append(max(abs(partner.onset - event.onset), abs(partner.offset - event.offset)))
            scores.append(abs(partner.score - event.score))
        lonely += len(left)
    return {
        "events": sum(map(len, exact)),
        "without_partner": lonely,
        "largest_shift_s": max(apart, default=0.0),
        "largest_score_difference": max(scores, default=0.0),
    }


def features(bench):
    """Features of audio: on processors as the package does it, and what the card would do."""
    import numpy as np
    import torch

    from sklearn_rcrnn import LFBETransformer

    n = 64 if bench.cuda else 4
    rng = np.random.default_rng(0)
    clips = (0.1 * rng.normal(size=(n, round(CLIP * 44100)))).astype(np.float32)
    for jobs in sorted({1, os.cpu_count()}):
        some = clips[: max(4, n // 4)] if jobs == 1 else clips
        lfbe = LFBETransformer(n_jobs=jobs)
        (seconds,) = bench.seconds(lambda lfbe=lfbe, some=some: lfbe.transform(some))
        bench.say("features", on=f"{jobs} cores", x_real_time=len(some) * CLIP / seconds)
    window, mel = (
        torch.as_tensor(part, dtype=torch.float32, device=bench.device)
        for part in LFBETransformer()._filters()
    )
    there = torch.from_numpy(clips).to(bench.device)

    def on_card(samples=there):
        spectrum = torch.stft(
            samples, 2048, 1024, window=window, pad_mode="constant", return_complex=True
        )
        return (spectrum.abs().square().transpose(1, 2) @ mel + 1e-10).log()

    def carried():
        return on_card(torch.from_numpy(clips).to(bench.device)).cpu()

    resident, moved = bench.seconds(on_card, carried)
    apart = np.abs(on_card()[:4].cpu().numpy() - LFBETransformer().transform(clips[:4])).max()
    bench.say(
        "features",
        on=bench.device,
        x_real_time=n * CLIP / resident,
        x_real_time_with_copies=n * CLIP / moved,
        largest_difference=float(apart),
    )


def day(bench):
    """A recording of a day, in blocks from samples to events, for as long as the limit lets it."""
    import numpy as np

    from sklearn_rcrnn import detect_stream

    pipe = bench.pipeline().set_params(detector__max_events_per_clip=None)
    minute = (0.01 * np.random.default_rng(0).normal(size=60 * 44100)).astype(np.float32)
    list(detect_stream(pipe, [minute]))
    given = 0
    started = time.perf_counter()

    def blocks():
        nonlocal given
        while given < 24 * 60 and time.perf_counter() - started < bench.args.day_limit:
            given += 1
            yield minute

    for _ in detect_stream(pipe, blocks()):
        pass
    seconds = time.perf_counter() - started
    bench.say(
        "day",
        minutes_of_audio=given,
        seconds=seconds,
        x_real_time=60 * given / seconds,
        seconds_for_a_day=24 * 60 / given * seconds,
        host_peak_MiB=_host_peak(),
    )


def _host_peak():
    """MiB of this process at their most (Linux); None elsewhere."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1024
    except (OSError, StopIteration):
        return None


SECTIONS = (machine, prediction, training, kernels, events, features, day, epochs)


def main():
    names = [section.__name__ for section in SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", default=names, metavar="section", help=str(names))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="rare-events", help="Name, folder, or new (random).")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--limit", type=float, default=1.0, help="Seconds of each measurement.")
    parser.add_argument("--day-limit", type=float, default=15.0, help="Seconds of the long one.")
    parser.add_argument("--json", help="Write the figures to this file, too.")
    args = parser.parse_args()
    if unknown := set(args.sections) - set(names):
        parser.error(f"no such sections: {sorted(unknown)}; there are {names}")
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the detector takes a card where it sees one
    started = time.perf_counter()
    bench = Bench(args)
    if bench.cuda and not bench.torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA here; --device cpu measures a processor")
    warnings.filterwarnings("ignore", category=UserWarning)
    failed = 0
    for section in SECTIONS:
        if section.__name__ not in args.sections:
            continue
        begun = time.perf_counter()
        try:
            section(bench)
        except Exception as error:  # a card is lent for minutes: the other figures are of use
            failed += 1
            bench.say("failed", section=section.__name__, error=f"{type(error).__name__}: {error}")
        bench.say("took", section=section.__name__, seconds=time.perf_counter() - begun)
        if args.json:  # after each section: a run that is cut off leaves what it has
            with open(args.json, "w") as file:
                json.dump(bench.figures, file, indent=1)
    bench.say("took", section="all", seconds=time.perf_counter() - started)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(bench.figures, file, indent=1)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
