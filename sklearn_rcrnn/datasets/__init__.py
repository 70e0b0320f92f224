"""Recordings with events: DCASE 2017 task 2, its mixer, and synthesized ones."""

from .dcase2017 import load_dcase2017_rare
from .event_clips import EventClip, write_event_clips
from .excerpts import Excerpt, cut_recordings
from .fetch import fetch_dcase2017_rare
from .fresh import FreshMixtures
from .fresh_excerpts import FreshExcerpts
from .mixer import Mixture, generate_mixture_recipes, synthesize_mixtures
from .splitting import read_sources, split_by_recording, split_by_source
from .synthetic import make_rare_events

__all__ = [
    "EventClip",
    "Excerpt",
    "FreshExcerpts",
    "FreshMixtures",
    "Mixture",
    "cut_recordings",
    "fetch_dcase2017_rare",
    "generate_mixture_recipes",
    "load_dcase2017_rare",
    "make_rare_events",
    "read_sources",
    "split_by_recording",
    "split_by_source",
    "synthesize_mixtures",
    "write_event_clips",
]
