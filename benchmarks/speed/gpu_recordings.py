"""Sections of gpu.py about recordings: the events that come out, features, and a whole day."""

from __future__ import annotations

import os
import time

from gpu_bench import CLIP


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


def features(bench):
    """Features of audio, computed on processors as the package does, and on the card."""
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
    """A recording of a day, from blocks of samples to events, until the time limit."""
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


def _without_tf32(torch, detector, features):
    torch.backends.cudnn.allow_tf32 = False
    return detector.predict(features)


def _differences(exact, found):
    """Count events with a partner of their label within 50 ms, and measure their distance."""
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


def _host_peak():
    """Peak memory of this process in MiB on Linux; None elsewhere."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1024
    except (OSError, StopIteration):
        return None
