"""Tools of all sections of gpu.py: the device, the clock, clips, and the figures."""

from __future__ import annotations

import statistics
import time

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
        """Median seconds of each function; they run in turn, so that a slow spell affects all."""
        times = [[] for _ in functions]
        for _ in range(2):  # the first calls choose kernels and allocate memory
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
        """Peak memory on the card in GiB while the function runs; None on a processor."""
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
        """Store a row of figures, and print it."""
        self.figures.setdefault(section, []).append(figures)
        text = "  ".join(f"{name} {_text(value)}" for name, value in figures.items())
        print(f"{section:<10} {text}", flush=True)


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
