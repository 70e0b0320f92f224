"""The detector on a graphics card: speed beside the bare network, kernels, memory.

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
import sys
import time
import warnings

from gpu_bench import Bench
from gpu_network import epochs, kernels, prediction, training
from gpu_recordings import day, events, features


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
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else it would be used
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
        except Exception as error:  # the other sections must not be lost
            failed += 1
            bench.say("failed", section=section.__name__, error=f"{type(error).__name__}: {error}")
        bench.say("took", section=section.__name__, seconds=time.perf_counter() - begun)
        if args.json:  # after each section, so that an interrupted run leaves its results
            with open(args.json, "w") as file:
                json.dump(bench.figures, file, indent=1)
    bench.say("took", section="all", seconds=time.perf_counter() - started)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(bench.figures, file, indent=1)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
