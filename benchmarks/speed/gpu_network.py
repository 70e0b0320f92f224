"""Sections of gpu.py about the network: prediction, steps of the training, and their kernels."""

from __future__ import annotations

import time

from gpu_bench import CLIP, LABELS


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
    """The share of the time of `predict` and of a training step in which the card computes."""
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


def _self_seconds(row, cuda):
    """Seconds of the row itself, without its parts, on the card or on a processor."""
    from torch.autograd import DeviceType

    # Named spans, such as the step of the optimizer, are also listed for the card.
    if cuda and (row.device_type != DeviceType.CUDA or row.key.startswith("Optimizer.")):
        return 0.0
    microseconds = row.self_device_time_total if cuda else row.self_cpu_time_total
    return microseconds / 1e6


def _training_step(bench, features, y, precision):
    """Make functions for one training step of the detector, and one of the bare network."""
    from sklearn_rcrnn import RCRNNDetector
    from sklearn_rcrnn.events import check_event_lists
    from sklearn_rcrnn.training.batches import collate_training
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
