"""A long run with kills and broken files: is anything lost or doubled, and does memory grow?

python benchmarks/speed/soak.py [--short 20000] [--long 200] [--kill-every 60] [--jobs 2]
python benchmarks/speed/soak.py --folder soak --minutes 60     # as often as it takes

Short recordings, some long ones and some broken ones go through `rcrnn detect`. Every minute a
worker is killed, and every tenth time the command itself, which is then repeated. In the end
each good recording must have one table, the right one, and each broken one a reason.

With `--minutes` the soak stops after that time (exit code 3), and what was reached by then is
checked. Given the same folder and the same options, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

RATE = 44100
# All recordings are links to this many templates, so that right results are computed only once.
TEMPLATES = 20
# One of this many kills hits the command, the others hit a worker.
KILLS_PER_COMMAND = 10
BROKEN = {"empty": b"", "text": b"no audio at all", "header": b"RIFF\x24\x00\x00\x00WAVEfmt "}


def write_templates(folder, seconds, n, rng, suffix):
    """Noise with events, `n` recordings of so many seconds, unless they are there."""
    import soundfile

    from sklearn_rcrnn.datasets import make_rare_events

    paths = [folder / f"{i:02}{suffix}" for i in range(n)]
    if folder.exists():
        return paths
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for path in paths:
        left = seconds
        with soundfile.SoundFile(unfinished / path.name, "w", RATE, 1) as file:
            while left > 0:
                length = max(3, min(60, left))
                seed = int(rng.integers(2**31))
                X, _ = make_rare_events(1, duration=length, max_events=3, random_state=seed)
                file.write(X[0])
                left -= length
    unfinished.rename(folder)
    return paths


def write_recordings(root, args):
    """Make the folder of recordings, which are links to templates.

    Returns the template of each good recording, and the set of broken ones. What is there already
    is left as it is.
    """
    rng = np.random.default_rng(args.seed)
    short = write_templates(root / "templates/short", args.short_seconds, TEMPLATES, rng, ".wav")
    long = write_templates(root / "templates/long", args.long_seconds, 2, rng, ".flac")
    source, broken = {}, set()
    rng = np.random.default_rng(args.seed)
    total = args.short + args.long
    for i in range(total):
        name = f"{i % 100:02}/{i:06}"
        folder = root / "in" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        if rng.random() < args.broken:
            kind = sorted(BROKEN)[i % len(BROKEN)]
            path = folder.with_suffix(".wav")
            broken.add(path)
            if not path.exists():
                path.write_bytes(BROKEN[kind])
            continue
        # Long recordings are spread evenly among the others.
        is_long = i * args.long // total != (i + 1) * args.long // total
        template = long[i % 2] if is_long else short[i % TEMPLATES]
        path = folder.with_suffix(template.suffix)
        source[path] = template
        if not path.exists():
            os.link(template, path)
    return source, broken


class Watch(threading.Thread):
    """Measure the memory of the command and its workers once a second, in all its runs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.process = None
        self.rows = []
        self.over = threading.Event()

    def run(self):
        import psutil

        began = time.monotonic()
        while not self.over.wait(1):
            try:
                main = psutil.Process(self.process.pid)
                own = main.memory_info().rss
                workers = [c.memory_info().rss for c in main.children(recursive=True)]
            except (psutil.Error, AttributeError):
                continue
            self.rows.append(
                (time.monotonic() - began, own / 2**20, max(workers, default=0) / 2**20)
            )


def workers_of(process):
    import psutil

    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [c for c in children if "tracker" not in " ".join(c.cmdline())]
    except psutil.Error:
        return []


def run(root, args, watch, state):
    """Run the command until it ends by itself or the time is over; True if it ended by itself.

    Who was killed and how many runs there were is counted in `state`.
    """
    rng = random.Random(f"{args.seed} {state['runs']}")
    command = [sys.executable, "-c", "from sklearn_rcrnn.cli import main; main()", "detect"]
    command += [str(root / "in"), "-o", str(root / "out"), "-j", str(args.jobs), "--json"]
    command += ["--model", args.model, "--summary", str(root / "summary.json")]
    began = time.monotonic()
    next_kill = began + args.kill_every
    while True:
        log = root / f"log-{state['runs']:03}.jsonl"
        state["runs"] += 1
        with open(log, "w") as file:
            process = watch.process = subprocess.Popen(command, stderr=file)
            while process.poll() is None:
                time.sleep(0.2)
                if args.minutes and time.monotonic() > began + 60 * args.minutes:
                    process.terminate()
                    process.wait()
                    return False
                if time.monotonic() < next_kill:
                    continue
                next_kill = time.monotonic() + args.kill_every
                if sum(state["killed"].values()) % KILLS_PER_COMMAND == KILLS_PER_COMMAND - 1:
                    state["killed"]["command"] += 1
                    process.kill()
                elif victims := workers_of(process):
                    state["killed"]["worker"] += 1
                    rng.choice(victims).kill()
        if process.returncode in (0, 1):
            return True
        if process.returncode != -9:
            raise RuntimeError(f"the command ended with {process.returncode}: {log.read_text()}")


def lines(log):
    """The output of the command in one run, without a line that a kill cut short."""
    for line in log.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def check(root, source, broken, model, ended):
    """What is missing, wrong, or there twice; if it has not ended, among what was reached."""
    from sklearn_rcrnn import detect_file, list_pretrained, load, load_pretrained
    from sklearn_rcrnn.annotations import format_events

    pipe = load_pretrained(model) if model in list_pretrained() else load(model)
    expected = {path: detect_file(pipe, path) for path in sorted(set(source.values()))}
    said = [row for log in sorted(root.glob("log-*.jsonl")) for row in lines(log)]
    told = Counter(row["file"] for row in said if row["event"] == "detected")
    errors = {row["file"] for row in said if row["event"] == "error" and "file" in row}
    tables = set((root / "out").rglob("*.csv"))
    if not ended:
        reached = {*told, *errors}
        source = {
            p: t for p, t in source.items() if str(p) in reached or table_of(root, p) in tables
        }
        broken = {path for path in broken if str(path) in reached}
    good = {path: table_of(root, path) for path in source}
    missing = [path for path, table in good.items() if table not in tables]
    wrong = [
        path
        for path, table in good.items()
        if table in tables
        and not same(table.read_text(), format_events({path.name: expected[source[path]]}))
    ]
    return {
        "recordings": len(source),
        "long_ones": sum(path.suffix == ".flac" for path in source),
        "missing": len(missing),
        "wrong": len(wrong),
        "tables_too_many": len(tables - set(good.values())),
        "done_more_than_once": sum(n > 1 for n in told.values()),
        "broken": len(broken),
        "broken_without_reason": len({str(path) for path in broken} - errors),
        "failed_though_good": len(errors & {str(path) for path in source}),
    }


def table_of(root, path):
    """The path of the table of a recording."""
    table = root / "out" / path.relative_to(root / "in")
    return table.with_name(table.name + ".csv")


def same(text, expected):
    """Tell whether two tables agree to 2 ms and 0.002 of a score."""
    rows, wanted = (part.splitlines()[1:] for part in (text, expected))
    if len(rows) != len(wanted):
        return False
    for row, other in zip(sorted(rows), sorted(wanted), strict=True):
        (name, *own), (other_name, *theirs) = row.split(","), other.split(",")
        if name != other_name or own[2:3] != theirs[2:3]:
            return False
        for a, b in zip(own, theirs, strict=True):
            if a != b and (not a or not b or abs(float(a) - float(b)) > 2.1e-3):
                return False
    return True


def memory(rows):
    """Peak memory of the command and its largest worker in MiB, for each third of the time."""
    if len(rows) < 3:
        return {}
    thirds = np.array_split(np.array(rows), 3)
    return {
        "command_MiB_by_third": [round(float(third[:, 1].max())) for third in thirds],
        "worker_MiB_by_third": [round(float(third[:, 2].max())) for third in thirds],
    }


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", type=int, default=20_000)
    parser.add_argument("--short-seconds", type=float, default=10)
    parser.add_argument("--long", type=int, default=200)
    parser.add_argument("--long-seconds", type=float, default=1800)
    parser.add_argument("--broken", type=float, default=0.01)
    parser.add_argument("--kill-every", type=float, default=60, help="Seconds.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="rare-events")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="Stop after so many; by default at the end.")
    parser.add_argument("--folder", help="For some gigabytes; by default temporary.")
    parser.add_argument("--json", help="Write the figures to this file, too.")
    return parser.parse_args()


def main():
    args = parse_args()
    root = Path(args.folder or tempfile.mkdtemp(prefix="soak-"))
    source, broken = write_recordings(root, args)
    hours = sum(args.long_seconds if p.suffix == ".flac" else args.short_seconds for p in source)
    print(
        f"{len(source)} good and {len(broken)} broken recordings, {hours / 3600:.1f} h", flush=True
    )
    state = {"seconds": 0, "runs": 0, "killed": Counter(), "memory": []}
    notes = root / "state.json"
    if notes.exists():
        state = json.loads(notes.read_text())
        state["killed"] = Counter(state["killed"])
    watch = Watch()
    watch.start()
    started = time.monotonic()
    ended = run(root, args, watch, state)
    state["seconds"] += time.monotonic() - started
    watch.over.set()
    state["memory"] += watch.rows
    notes.write_text(json.dumps(state))
    figures = {
        "seed": args.seed,
        "jobs": args.jobs,
        "ended": ended,
        "seconds": round(state["seconds"], 1),
        "killed": dict(state["killed"]),
        "runs": state["runs"],
        **check(root, source, broken, args.model, ended),
        **memory(state["memory"]),
    }
    print(json.dumps(figures, indent=1))
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    if not ended:
        print(f"stopped; repeat it with --folder {root} to go on")
        sys.exit(3)
    if not args.folder:
        shutil.rmtree(root)
    bad = ("missing", "wrong", "tables_too_many", "broken_without_reason", "failed_though_good")
    sys.exit(1 if any(figures[name] for name in bad) else 0)


if __name__ == "__main__":
    main()
