"""An hour of audio from a file to events, beside the sum of its indispensable parts.

python benchmarks/speed/recordings.py [--minutes 60]

The sum is decoding by soundfile, features and the bare network, each alone and measured in
the same run, with as many threads as PyTorch has. A day is reckoned from the hour, and memory
is that of a process of its own. Ten minutes in other formats and at 48 kHz, which is resampled,
are beside ten minutes of WAV at 44.1 kHz.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from timing import RATE, Cost, Report, bare_forward, clips, interleaved, parse, peak_memory

BLOCK = 2**19


def write(path, minutes, rate):
    """Write a recording of noise with occasional clicks, in blocks."""
    import soundfile

    rng = np.random.default_rng(0)
    noise = (0.01 * rng.normal(size=60 * rate)).astype(np.float32)
    click = (0.1 * rng.normal(size=rate // 3)).astype(np.float32)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for _ in range(minutes):
            samples = noise.copy()
            for start in rng.integers(0, 59 * rate, 6):
                samples[start : start + len(click)] += click
            file.write(samples)


def decode(path):
    import soundfile

    with soundfile.SoundFile(path) as file:
        while len(file.read(BLOCK, dtype="float32")):
            pass


def main() -> None:
    args = parse(__doc__, minutes=60, model="rare-events", child="")
    if args.child:
        child(args)
        return
    from sklearn_rcrnn import detect_file, load_pretrained

    pipe = load_pretrained(args.model)
    report = Report(args)
    features, _ = clips(2 * args.minutes)
    minute = (0.01 * np.random.default_rng(0).normal(size=60 * RATE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "long.wav"
        write(wav, args.minutes, RATE)
        runs = [
            lambda: decode(wav),
            lambda: list(pipe[0].transform_blocks(minute for _ in range(args.minutes))),
            bare_forward(pipe[-1].net_.module_.extractor, features),
            lambda: detect_file(pipe, wav),
        ]
        decoding, lfbes, bare, whole = interleaved(runs, args.repeats, args.seconds)
        total = Cost(*(sum(parts) for parts in zip(decoding, lfbes, bare, strict=True)))
        what = f"`detect_file`, {args.minutes} min of WAV"
        report.row(what, whole, total, "decoding + features + bare network", 1.3)
        for name, cost in (("decoding", decoding), ("features", lfbes), ("bare network", bare)):
            report.row(f"of that, {name}", cost, total, "all three")
        day = 24 * 60 * whole.processor / args.minutes / 2
        report.fact(f"a day of WAV on two idle cores: {day:.0f} s of processor time each (aim 110)")
        memory(args, wav, report)
        formats(pipe, Path(folder), min(args.minutes, 10), report, args)


def formats(pipe, folder, minutes, report, args):
    """Recordings of other formats and another rate beside a WAV of the same length."""
    from sklearn_rcrnn import detect_file

    wav = folder / "short.wav"
    write(wav, minutes, RATE)
    others = (("FLAC", ".flac", RATE), ("MP3", ".mp3", RATE), ("WAV at 48 kHz", "48.wav", 48000))
    for name, ending, rate in others:
        path = folder / f"other{ending}"
        write(path, minutes, rate)
        runs = [lambda path=path: detect_file(pipe, path), lambda: detect_file(pipe, wav)]
        cost, reference = interleaved(runs, args.repeats, args.seconds)
        what = f"`detect_file`, {minutes} min of {name}"
        report.row(what, cost, reference, "WAV at 44.1 kHz", 1.3)


def memory(args, path, report):
    command = [sys.executable, __file__, "--model", args.model, "--child", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak = done.stdout.split()[-1]
    report.fact(f"peak memory of `rcrnn detect`, {args.minutes} min: {peak} MB (aim 400)")


def child(args):
    """Detect as the command does, and print the peak of memory."""
    from sklearn_rcrnn._utils import spared_imports
    from sklearn_rcrnn.cli import app

    spared_imports.is_command = True
    table = Path(args.child).with_suffix(".csv")
    app(["detect", args.child, "--model", args.model, "-o", str(table)], standalone_mode=False)
    print(round(peak_memory()))


if __name__ == "__main__":
    main()
