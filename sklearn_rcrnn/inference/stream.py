"""Events of recordings that are too long for memory, or have not ended yet, block by block."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._utils.pipelines import advice_on_wrapped, split_pipeline
from .._utils.threads import read_ahead
from ..audio import open_audio
from ..audio.clips import CHANNELS, as_float32
from ..audio.reading import RATES
from ..detector import RCRNNDetector
from ..events import Event, select_events
from ..postprocessing import EventJoiner, EventRules
from .feature_blocks import check_block_features, feature_blocks
from .merging import UnsettledEvents
from .recordings import detect_recording
from .windows import MARGIN, NEVER, WINDOW, Windows


def detect_stream(
    estimator: Pipeline,
    blocks: Iterable[NDArray[Any]],
    *,
    sample_rate: int | None = None,
    window: float = WINDOW,
    margin: float = MARGIN,
) -> Iterator[Event]:
    """Detect the events of a recording that arrives in blocks, each as soon as it is certain.

    The events are those of ``estimator.predict`` on the whole recording. The memory needed does
    not grow with its length.

    Parameters
    ----------
    estimator : Pipeline
        A fitted pipeline of features and an :class:`RCRNNDetector` with
        ``max_events_per_clip=None``. The features are an :class:`LFBETransformer` or any
        transformer with a ``sample_rate`` and a ``frame_shift``; see Notes.
    blocks : iterable of float arrays of shape (n_samples_i,) or (n_samples_i, n_channels)
        Blocks of any lengths, from a microphone, a pipe or a socket. Channels are averaged.
    sample_rate : int, default=None
        Sample rate of the blocks in Hz; by default that of the pipeline.
    window, margin : float, default=60, 10
        Lengths in seconds: the network looks at one window at a time, whose margins on both
        sides are context from which no events are taken. Shorter windows give events earlier
        and cost more: an event is yielded at most ``1.25 * window - margin + 2`` seconds after
        its end (``1.25 * window + 1`` seconds with an ``nms_threshold`` under 0.5), or after
        that of stronger events that overlap it; sooner if the features are normalized by less
        than half a window. With other values than the defaults, events may differ slightly from
        those of ``predict``.

    Yields
    ------
    Event
        In seconds from the first sample; sorted by onset, except for events that had to wait
        for stronger ones.

    Raises
    ------
    TypeError, ValueError
        For another estimator, or for blocks that are not finite, not samples, or have their
        channels in rows.

    Notes
    -----
    Features of other classes than :class:`LFBETransformer` need a ``sample_rate`` in Hz and
    a ``frame_shift`` in seconds. Long recordings go through their method
    ``transform_blocks(blocks)``, which takes an iterable of arrays of samples and yields
    arrays (n_frames_i, n_bands) that, joined, are the features of the whole recording.
    Without one, ``transform`` is given half a minute at a time, with five seconds more on
    either side, and events of a stream come so much later.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rcrnn import detect_stream, load_pretrained
    >>> pipe = load_pretrained().set_params(detector__max_events_per_clip=None)
    >>> rng = np.random.default_rng(0)
    >>> blocks = (0.01 * rng.normal(size=44100) for second in range(3))
    >>> events = list(detect_stream(pipe, blocks))
    """
    features, detector = check_streamable(estimator)
    windows = detector._windows(window, margin)
    lowest, highest = RATES
    if sample_rate is not None and not (
        isinstance(sample_rate, Real) and lowest <= sample_rate <= highest
    ):
        raise ValueError(
            f"sample_rate must be a number of Hz from {lowest} to {highest}; got {sample_rate!r}"
        )
    samples = at_rate(blocks, sample_rate, features.sample_rate)
    return detect_blocks(features, detector, samples, windows, rules=detector._rules())


def detect_file(estimator: Pipeline, path: str | os.PathLike[str]) -> list[Event]:
    """Detect the events of a file of any length, which is read in blocks.

    Parameters
    ----------
    estimator : Pipeline
        A pipeline as for :func:`detect_stream`, with any ``max_events_per_clip``.
    path : str or PathLike

    Returns
    -------
    list of Event
        Sorted by onset; the same as ``estimator.predict([path])[0]`` up to rounding.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it cannot be read or is empty.

    Examples
    --------
    >>> detect_file(load_pretrained(), "night.flac")  # doctest: +SKIP
    """
    features, detector = check_streamable(estimator, any_number=True)
    windows = detector._windows()
    name = os.fspath(path)
    with open_audio(path) as file:
        samples = at_rate(file.blocks(), file.sample_rate, features.sample_rate)
        try:
            found = list(detect_blocks(features, detector, samples, windows, side_by_side=True))
        except ValueError as error:
            raise error if name in str(error) else ValueError(f"{name!r}: {error}") from error
    return detector._finished([found])[0]


def check_streamable(estimator: Any, any_number: bool = False) -> tuple[Any, RCRNNDetector]:
    """The features and the detector of a pipeline; raise if they cannot work on blocks."""
    features, detector = split_pipeline(estimator)
    if features is None or not isinstance(detector, RCRNNDetector):
        steps = tuple(estimator) if isinstance(estimator, Pipeline) else (estimator,)
        raise TypeError(
            "estimator must be a Pipeline of features, such as an LFBETransformer, and an "
            f"RCRNNDetector; got {', '.join(type(step).__name__ for step in steps)}"
            + advice_on_wrapped(detector)
        )
    check_block_features(features)
    check_is_fitted(detector)
    if detector.max_events_per_clip is not None and not any_number:
        raise ValueError(
            "The best events of a stream are known only at its end: "
            "set_params(detector__max_events_per_clip=None)"
        )
    detector._rules()
    detector._thresholds()  # raises now if one is wrong, and not after hours of work
    return features, detector


def detect_blocks(
    features: Any,
    detector: RCRNNDetector,
    blocks: Iterable[NDArray[Any]],
    windows: Windows,
    side_by_side: bool = False,
    rules: EventRules | None = None,
) -> Iterator[Event]:
    """Events of a recording in blocks of samples, each as soon as it is certain.

    Without rules they are neither joined nor dropped, which is left to the caller who has all
    of them. With `side_by_side`, reading, features and network run in threads of their own, and
    several windows go through the recurrent layer together.
    """
    network = detector._network(windows.length, side_by_side)
    found = UnsettledEvents(detector.nms_threshold)
    joiner = EventJoiner(rules or EventRules())
    thresholds = detector._thresholds()
    if network.n_threads > 1:
        blocks = read_ahead(blocks)
    frames = feature_blocks(features, blocks)
    if network.n_threads > 1:
        frames = read_ahead(frames)
    for window, events in detect_recording(frames, windows, network):
        found.add(select_events([events], thresholds)[0])
        earliest = windows.earliest_after(window)
        settled = found.settle(earliest)
        if rules is None:
            yield from settled
            continue
        joiner.add(settled)
        yield from joiner.take(found.next_onset(earliest))
    joiner.add(found.settle(NEVER))
    yield from joiner.take(math.inf)


def at_rate(
    blocks: Iterable[NDArray[Any]], rate: int | None, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Average the channels of blocks, and resample them."""
    import soxr

    resampler = None
    if rate is not None and rate != sample_rate:
        resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    for i, block in enumerate(blocks):
        samples = np.asarray(block)
        # The first block tells: the last one may have fewer samples than channels.
        is_turned = not i and samples.ndim == 2 and samples.shape[1] > max(len(samples), CHANNELS)
        if samples.ndim not in (1, 2) or samples.dtype.kind != "f" or is_turned:
            raise ValueError(
                "blocks must be float arrays of shape (n_samples,) or (n_samples, n_channels); "
                f"got {samples.dtype} of shape {samples.shape}"
            )
        mono = samples.mean(axis=1) if samples.ndim == 2 else samples
        mono = as_float32(mono, "The stream")
        yield resampler.resample_chunk(mono) if resampler else mono
    if resampler:
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
