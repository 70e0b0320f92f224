"""The mixtures that the cells of ``paper_tables.py`` learn from and are scored on."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
from paper_results import CLASSES

from sklearn_rcrnn import LFBETransformer
from sklearn_rcrnn.datasets import (
    FreshMixtures,
    generate_mixture_recipes,
    split_by_recording,
    synthesize_mixtures,
)


def mixtures(root, subset, n_clips, presence, seed, settings, jobs, classes=None):
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
    return LFBETransformer(n_jobs=jobs, **settings).transform(X), y, made_for


def fresh(root, n_clips, presence, seed, settings, length, **changes):
    """The same from fresh mixtures, no two of which are alike."""
    X, y, made_for = [], [], []
    lfbe = LFBETransformer(**settings)
    for i, label in enumerate(CLASSES):
        mixtures = FreshMixtures(
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
        stream = lfbe.transform(mixtures)
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
    """Return a function from class, seed and feature settings to the mixtures of a cell.

    A detector of one class needs only the mixtures of this class. Test mixtures are always
    those of all classes, so that every cell is scored on the same.
    """
    memory = joblib.Memory(args.work / "features", verbose=0)
    split = split_by_recording(args.root, args.work / "split")
    as_in_the_challenge = memory.cache(mixtures, ignore=["jobs"])
    all_different = memory.cache(fresh)
    # In the paper, 99 of 100 mixtures have an event. With a limited time there are only few
    # mixtures, and more of them are without an event to teach what an event is not.
    presence = 0.8 if args.minutes else 0.99

    def to_learn_from(target, presence, seed, settings):
        mixed = {"n_clips": args.train_clips, "presence": presence, "seed": seed}
        if args.minutes:
            return all_different(split, **mixed, settings=settings, length=args.mixture_length)
        own = None if target == "all" else [target]
        mixed |= {"settings": settings, "classes": own}
        return as_in_the_challenge(split, "fit", **mixed, jobs=args.jobs)

    def load_data(target, seed, settings):
        own = None if target == "all" or args.minutes else [target]
        fixed = {"presence": 0.5, "settings": settings, "jobs": args.jobs}
        return {
            "pretrain": to_learn_from(target, 0.5, seed, settings),
            "train": to_learn_from(target, presence, seed + 1, settings),
            "valid": as_in_the_challenge(
                split, "hold", args.valid_clips, seed=7, classes=own, **fixed
            ),
            "test": as_in_the_challenge(
                Path(args.root), "devtest", args.test_clips, seed=42, **fixed
            ),
        }

    return load_data
