"""Error rates of models where recordings are of other recorders: narrow, compressed, quiet.

python benchmarks/recorders.py rare-events --root ../shared/corpus
python benchmarks/recorders.py work/round1 work/round2 --root work/split --subset hold --best

Challenge-style mixtures, one event a clip, each class on its own mixtures, at the thresholds of
the model; with --best at the best ones on the mixtures as they are, to compare models that
have none yet.
"""

from __future__ import annotations

import argparse
import io

import numpy as np
import soundfile
import soxr
from held_out import error_rates

from sklearn_rcrnn import list_pretrained, load, load_pretrained
from sklearn_rcrnn.datasets import generate_mixture_recipes, synthesize_mixtures

RATE = 44100


def as_recorded_at(rate):
    return lambda x: soxr.resample(soxr.resample(x, RATE, rate), rate, RATE)


def as_mp3(x):
    file = io.BytesIO()
    soundfile.write(file, np.clip(x, -1, 1), RATE, format="MP3")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0][: len(x)]


def as_16_bit(gain):
    return lambda x: np.round(10 ** (gain / 20) * x * 2**15) / 2**15


RECORDERS = {
    "as they are": lambda x: x,
    "at 16 kHz": as_recorded_at(16000),
    "at 8 kHz": as_recorded_at(8000),
    "MP3": as_mp3,
    "16 bits": as_16_bit(0),
    "16 bits, 30 dB down": as_16_bit(-30),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--root", default="../shared/corpus")
    parser.add_argument("--subset", default="devtest")
    parser.add_argument("--clips", type=int, default=80, help="of a class")
    parser.add_argument("--seed", type=int, default=43)
    parser.add_argument("--best", action="store_true", help="thresholds")
    args = parser.parse_args()
    recipes = generate_mixture_recipes(
        args.root, args.subset, mixtures_per_class=args.clips, random_state=args.seed, n_jobs=1
    )
    clips, y = synthesize_mixtures(args.root, recipes, lazy=True)
    clips = [np.asarray(clip) for clip in clips]
    made_for = [label for label, own in recipes.items() for _ in own]
    labels = sorted(recipes)
    print(f"{len(clips)} mixtures of {args.subset}, seed {args.seed}")
    print(f"{'model':<16}{'recorder':<22}{''.join(f'{x:>12}' for x in labels)}{'mean':>8}")
    for model in args.models:
        pipe = load_pretrained(model) if model in list_pretrained() else load(model)
        thresholds = None if args.best else pipe[-1].score_threshold
        if isinstance(thresholds, float):
            thresholds = dict.fromkeys(labels, thresholds)
        for recorder, change in RECORDERS.items():
            features = pipe[:-1].transform([change(x).astype(np.float32) for x in clips])
            curves = error_rates(pipe[-1].predict_candidates(features), y, made_for)
            if thresholds is None:
                thresholds = {label: at[rate.argmin()] for label, (at, rate) in curves.items()}
            rates = [
                float(rate[np.argmin(np.abs(at - thresholds[label]))])
                for label, (at, rate) in curves.items()
            ]
            columns = "".join(f"{rate:12.2f}" for rate in rates)
            name = model.rstrip("/").split("/")[-1]
            print(f"{name:<16}{recorder:<22}{columns}{np.mean(rates):8.2f}", flush=True)


if __name__ == "__main__":
    main()
