"""The mixtures that the cells of ``paper_tables.py`` learn from and are scored on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import joblib
import numpy as np
import torch
from joblib import Parallel, delayed
from mixtures import lfbe
from paper_results import CLASSES

from sklearn_rcrnn import LFBETransformer
from sklearn_rcrnn.datasets import (
    FreshMixtures,
    generate_mixture_recipes,
    split_by_recording,
    synthesize_mixtures,
)
from sklearn_rcrnn.datasets._material import SAMPLE_RATE, background_of, event_of
from sklearn_rcrnn.datasets.layout import data_folder
from sklearn_rcrnn.datasets.mixer import HEADROOM

# Mixtures of half a minute that are mixed together on a card: about 3 GB while their features are
# computed.
_AT_ONCE = 64


def mixtures(root, subset, n_clips, presence, seed, settings, jobs, classes=None, device="cpu"):
    """Draw mixtures as the challenge does; return features, events and the class of each."""
    recipes = generate_mixture_recipes(
        root,
        subset,
        mixtures_per_class=n_clips,
        event_presence_prob=presence,
        random_state=seed,
        classes=classes,
        n_jobs=jobs,
    )
    X, y = synthesize_mixtures(root, recipes, lazy=True)
    made_for = np.array([label for label, own in recipes.items() for _ in own])
    transformer = LFBETransformer(n_jobs=jobs, **settings)
    features = transformer.transform(X) if device == "cpu" else features_on(device, X, transformer)
    return features, y, made_for


def features_on(device, X, transformer):
    """Mix mixtures and compute their features as ``transform`` does, on a graphics card.

    Parameters
    ----------
    device : str
    X : list of Mixture
        All of one length.
    transformer : LFBETransformer
        Its `n_jobs` threads read the material.

    Returns
    -------
    float32 array of shape (n_mixtures, n_frames, n_bands)
    """
    window, mel = (torch.from_numpy(own).to(device) for own in transformer._filters())
    backgrounds, events = _material(X, transformer.n_jobs, device)
    rows = []
    for first in range(0, len(X), _AT_ONCE):
        part = X[first : first + _AT_ONCE]
        mixed = torch.stack([backgrounds[mixture.recipe["bg_path"]] for mixture in part])
        for row, mixture in zip(mixed, part, strict=True):
            if mixture.recipe["event_present"]:
                start = int(mixture.recipe["event_start_in_mixture_seconds"] * SAMPLE_RATE)
                event = events[_segment(mixture.recipe)][: len(row) - start]
                row[start : start + len(event)] += mixture.recipe["scaling_factor"] * event
        mixed *= HEADROOM
        mixed /= mixed.abs().amax(1, keepdim=True).clamp(min=1)
        rows.append(lfbe(mixed, mel, window, hop=transformer.hop_length).cpu())
    return torch.cat(rows).numpy()


def _material(X, jobs, device):
    """Read each background and each event of mixtures once, as dicts of Tensors."""
    folder, length = data_folder(X[0].root), X[0].mixture_length
    backgrounds = {mixture.recipe["bg_path"]: mixture.recipe for mixture in X}
    with_event = [mixture.recipe for mixture in X if mixture.recipe["event_present"]]
    events = {_segment(recipe): recipe for recipe in with_event}
    readers = [delayed(background_of)(folder, own, length) for own in backgrounds.values()]
    readers += [delayed(event_of)(folder, own) for own in events.values()]
    read = Parallel(n_jobs=jobs, prefer="threads")(readers)
    tensors = [torch.from_numpy(samples.astype(np.float32)).to(device) for samples in read]
    first_event = len(backgrounds)
    return (
        dict(zip(backgrounds, tensors[:first_event], strict=True)),
        dict(zip(events, tensors[first_event:], strict=True)),
    )


def _segment(recipe):
    names = ("event_path", "segment_start_seconds", "segment_end_seconds")
    return tuple(recipe[name] for name in names)


def fresh(root, n_clips, presence, seed, settings, length, **changes):
    """The same from fresh mixtures, no two of which are alike."""
    X, y, made_for = [], [], []
    transformer = LFBETransformer(**settings)
    for i, label in enumerate(CLASSES):
        drawn = FreshMixtures(
            root,
            "fit",
            n_mixtures=n_clips,
            mixture_length=length,
            event_counts=(1 - presence, presence),
            # Harder mixtures only pay off in longer trainings than these.
            distractors=0.0,
            blend=0.0,
            classes=[label],
            random_state=10 * seed + i,
            **changes,
        )
        stream = transformer.transform(drawn)
        for index in range(n_clips):
            features, events = stream.draw(1, index)
            X.append(features)
            y.append(events)
            made_for.append(label)
    return np.stack(X), y, np.array(made_for)


def of_class(data, target):
    """Select the mixtures of a class, or all of them for "all"."""
    X, y, made_for = data
    own = np.flatnonzero(np.isin(made_for, CLASSES if target == "all" else [target]))
    return X[own], [y[i] for i in own]


def data_loader(args):
    """Return a function from class, seed and feature settings to functions that give mixtures.

    Those to pre-train and to train with, held-out ones, and test mixtures. A detector of one class
    needs only the mixtures of this class. Test mixtures are always those of all classes, so that
    every cell is scored on the same.
    """
    memory = joblib.Memory(args.work / "features", verbose=0)
    split = split_by_recording(args.root, args.work / "split")
    as_in_the_challenge = memory.cache(mixtures, ignore=["jobs"])
    all_different = memory.cache(fresh)
    # In the paper, 99 of 100 mixtures have an event. With a limited time there are only few
    # mixtures, and more of them are without an event to teach what an event is not.
    presence = 0.8 if args.minutes else 0.99

    def mixed(subset, **drawn):
        if args.mix_on == "cpu":
            return as_in_the_challenge(split, subset, jobs=args.jobs, **drawn)
        # Made again as fast as they would be read.
        return mixtures(split, subset, jobs=args.jobs, device=args.mix_on, **drawn)

    def to_learn_from(target, presence, seed, settings):
        drawn = {"n_clips": args.train_clips, "presence": presence, "seed": seed}
        if args.minutes:
            return all_different(split, **drawn, settings=settings, length=args.mixture_length)
        return mixed("fit", **drawn, settings=settings, classes=own_classes(target))

    def own_classes(target):
        return None if target == "all" or args.minutes else [target]

    def load_data(target, seed, settings):
        fixed = {"presence": 0.5, "settings": settings}
        held = {"n_clips": args.valid_clips, "seed": 7, "classes": own_classes(target)}
        test = {"n_clips": args.test_clips, "seed": 42, "jobs": args.jobs}
        return {
            "pretrain": partial(to_learn_from, target, 0.5, seed, settings),
            "train": partial(to_learn_from, target, presence, seed + 1, settings),
            "valid": partial(mixed, "hold", **held, **fixed),
            "test": partial(as_in_the_challenge, Path(args.root), "devtest", **test, **fixed),
        }

    return load_data
