"""LFBE features: log filter bank energies of clips (section 2.1 of the paper)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.parallel import Parallel, delayed

from ._utils.clock import origin_of, with_clock
from ._utils.mel import band_groups, mel_edges, mel_filters
from ._utils.threads import one_blas_thread
from .audio import check_clips, load_clip
from .clip_stream import ClipStream

# Number of frames that are transformed together, so that their spectra stay in the cache.
_BLOCK = 64


class LFBETransformer(
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]  # features are no table
):
    """Turn recordings into log filter bank energies.

    Each clip gives ``log(librosa.feature.melspectrogram(...) + eps)``, with frames centered
    at multiples of the hop and Slaney's mel scale, as librosa has it. The transformer has
    no state: it works without ``fit``. Features are normalized by the estimator that
    follows.

    Parameters
    ----------
    sample_rate : int, default=44100
        In Hz. Files are resampled to it; arrays are taken to have it.
    n_fft : int, default=2048
        Length of the window in samples (46 ms).
    hop_length : int, default=1024
        Distance of frames in samples (23 ms).
    n_mels : int, default=64
        Number of mel bands.
    f_min : float, default=0.0
        Lower edge of the lowest band in Hz.
    f_max : float, default=None
        Upper edge of the highest band in Hz; half the sample rate by default.
    eps : float, default=1e-10
        Added before the logarithm, so that silence is finite.
    n_jobs : int, default=None
        Threads that work on clips side by side; -1 for all processors.

    Attributes
    ----------
    frame_shift : float
        Distance of frames in seconds; give it to the detector, or let
        :func:`make_rcrnn_pipeline` do so.

    See Also
    --------
    make_rcrnn_pipeline : Sets features and the detector's clock together.

    Notes
    -----
    One clip at a time is in memory for each job, besides the features themselves
    (30 s: 1292 × 64 float32, 323 KiB).

    There is no ``set_output``: a clip is a matrix of frames and bands, and clips may differ in
    length, so that features are no table with a row for each clip.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rcrnn import LFBETransformer
    >>> noise = np.random.default_rng(0).normal(size=(2, 30 * 44100)).astype("float32")
    >>> LFBETransformer().transform(noise).shape
    (2, 1292, 64)
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Integral, 1, None, closed="left")],
        "n_fft": [Interval(Integral, 2, None, closed="left")],
        "hop_length": [Interval(Integral, 1, None, closed="left")],
        "n_mels": [Interval(Integral, 1, None, closed="left")],
        "f_min": [Interval(Real, 0, None, closed="left")],
        "f_max": [Interval(Real, 0, None, closed="neither"), None],
        # A smaller number is 0 in float32, and silence would not be finite.
        "eps": [Interval(Real, float(np.finfo(np.float32).tiny), None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        sample_rate: int = 44100,
        n_fft: int = 2048,
        hop_length: int = 1024,
        n_mels: int = 64,
        f_min: float = 0.0,
        f_max: float | None = None,
        eps: float = 1e-10,
        n_jobs: int | None = None,
    ):
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.f_min = f_min
        self.f_max = f_max
        self.eps = eps
        self.n_jobs = n_jobs

    @property
    def frame_shift(self) -> float:
        return self.hop_length / self.sample_rate

    @property
    def band_frequencies(self) -> NDArray[np.float64]:
        """Center of each mel band in Hz, float64 array of shape (n_mels,)."""
        top = self.sample_rate / 2 if self.f_max is None else self.f_max
        return mel_edges(self.n_mels, self.f_min, top)[1:-1]

    def fit(self, X: Any, y: Any = None) -> LFBETransformer:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : as for :meth:`transform`
        y : ignored

        Returns
        -------
        self
        """
        if not isinstance(X, ClipStream):
            check_clips(X)
        self._check()
        return self

    def transform(self, X: Any) -> NDArray[np.float32] | list[NDArray[np.float32]] | ClipStream:
        """Compute the features of every clip.

        Parameters
        ----------
        X : sequence of paths or 1-D arrays, or array of shape (n_clips, n_samples)
            WAV, FLAC, Ogg or MP3 files at any sample rate, or samples at `sample_rate`;
            lengths may differ. Or a :class:`ClipStream` of such clips.

        Returns
        -------
        float32 array of shape (n_clips, n_frames, n_mels)
            When all clips have the same number of frames, ``1 + n_samples // hop_length``;
            else a list of n_clips arrays of shape (n_frames_i, n_mels); of a stream, the
            stream of its features.

        Raises
        ------
        FileNotFoundError
            If a file is not there.
        ValueError
            If a file cannot be read, or a clip is empty or not finite; names the clip. If the
            clips of a stream have another sample rate.
        """
        self._check()
        filters = self._filters()
        if isinstance(X, ClipStream):
            if X.sample_rate not in (None, self.sample_rate):
                raise ValueError(
                    f"the clips of the stream are at {X.sample_rate} Hz, and the features are of "
                    f"{self.sample_rate} Hz: all times and frequencies would be wrong. Resample "
                    "the clips, stream.map(function), or take features of the same rate"
                )
            return X.map(partial(self._clocked_clip, window=filters[0], mel=filters[1]))
        clips = check_clips(X)
        # File dates are taken before the files are read, so that a change in between is noticed.
        origins = [origin_of(clip) for clip in clips]
        work = delayed(self._transform_clip)
        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads")
        with one_blas_thread():
            rows = parallel(work(clip, f"clip {i}", *filters) for i, clip in enumerate(clips))
        return with_clock(_stack(rows), self.frame_shift, origins, self._settings_of_features())

    def transform_blocks(self, blocks: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        """Compute the features of one recording that comes in blocks.

        Parameters
        ----------
        blocks : iterable of float arrays of shape (n_samples_i,)
            The recording at `sample_rate`, cut anywhere.

        Yields
        ------
        float32 array of shape (n_frames_i, n_mels)
            Joined, they are the features of the whole recording.

        Raises
        ------
        ValueError
            If a block is no 1-D array of floats, if there is no sample at all, or if one is not
            finite; the message names the time.

        Examples
        --------
        >>> noise = np.random.default_rng(0).normal(size=44100)
        >>> blocks = LFBETransformer().transform_blocks([noise[:10000], noise[10000:]])
        >>> np.concatenate(list(blocks)).shape
        (44, 64)
        """
        self._check()
        window, mel = self._filters()
        rest = np.zeros(self.n_fft // 2, np.float32)
        n_samples = n_skipped = 0
        for block in map(_samples_of, blocks):
            n_samples += len(block)
            rest = np.concatenate([rest, block[n_skipped:]])
            n_skipped = max(0, n_skipped - len(block))
            n_frames = (len(rest) - self.n_fft) // self.hop_length + 1
            if n_frames > 0:
                stop = (n_frames - 1) * self.hop_length + self.n_fft
                with one_blas_thread():
                    features = self._energies(rest[:stop], window, mel)
                yield self._finite(features, rest, n_samples)
                begin = n_frames * self.hop_length
                # Frames with gaps between them may begin after the samples that are here.
                n_skipped = max(0, begin - len(rest))
                rest = rest[begin:]
        if not n_samples:
            raise ValueError("The recording is empty: it has 0 samples")
        n_frames = (len(rest) + self.n_fft // 2 - self.n_fft) // self.hop_length + 1
        if n_frames > 0:
            padded = np.pad(rest, (0, self.n_fft // 2))
            yield self._finite(self._energies(padded, window, mel), rest, n_samples)

    def _finite(
        self, features: NDArray[Any], samples: NDArray[Any], n_samples: int
    ) -> NDArray[Any]:
        if not np.isfinite(features).all():
            raise ValueError(
                f"There are {_what_is_wrong(samples)} samples before "
                f"{n_samples / self.sample_rate:.2f} s; samples must be finite, and are usually "
                "between -1 and 1"
            )
        return features

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the bands, ``lfbe0``, ``lfbe1``, ..., from low to high.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        object array of shape (n_mels,)
        """
        return np.asarray([f"lfbe{i}" for i in range(self.n_mels)], dtype=object)

    def _settings_of_features(self) -> dict[str, Any]:
        """What decides on the features of a recording."""
        settings = {name: value for name, value in self.get_params().items() if name != "n_jobs"}
        if self.f_max is None:
            settings["f_max"] = self.sample_rate / 2
        return settings

    def _check(self) -> None:
        self._validate_params()
        nyquist = self.sample_rate / 2
        top = nyquist if self.f_max is None else self.f_max
        if not self.f_min < top <= nyquist:
            raise ValueError(
                f"f_min={self.f_min} and f_max={self.f_max} must satisfy f_min < f_max <= "
                f"{nyquist} Hz, half the sample rate"
            )

    def _filters(self) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Window (n_fft,) and mel filters (n_fft // 2 + 1, n_mels)."""
        top = self.sample_rate / 2 if self.f_max is None else self.f_max
        turns = np.arange(self.n_fft) / self.n_fft
        window = 0.5 - 0.5 * np.cos(2 * np.pi * turns)
        return window, mel_filters(self.sample_rate, self.n_fft, self.n_mels, self.f_min, top)

    def _clocked_clip(
        self, clip: Any, window: NDArray[Any], mel: NDArray[Any]
    ) -> NDArray[np.float32]:
        features = self._transform_clip(clip, "a clip of the stream", window, mel)
        return with_clock(features, self.frame_shift, settings=self._settings_of_features())

    def _transform_clip(
        self, clip: Any, name: str, window: NDArray[Any], mel: NDArray[Any]
    ) -> NDArray[np.float32]:
        is_path = isinstance(clip, (str, os.PathLike))
        where = f"{name} ({os.fspath(clip)!r})" if is_path else name
        samples = load_clip(clip, self.sample_rate, where)
        features = self._lfbe(samples, window, mel)
        if not np.isfinite(features).all():
            what = _what_is_wrong(samples)
            raise ValueError(f"{where} has samples that are {what}; samples must be finite")
        return features

    def _lfbe(
        self, samples: NDArray[Any], window: NDArray[Any], mel: NDArray[Any]
    ) -> NDArray[np.float32]:
        padded = np.pad(samples, self.n_fft // 2)
        if len(padded) < self.n_fft:  # an odd window over an empty clip
            padded = np.pad(padded, (0, self.n_fft - len(padded)))
        return self._energies(padded, window, mel)

    def _energies(
        self, padded: NDArray[Any], window: NDArray[Any], mel: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Compute the features of all frames in samples that are already padded."""
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        energies = np.empty((len(frames), self.n_mels), np.float32)
        groups = band_groups(mel)
        windowed = np.empty((_BLOCK, self.n_fft))
        # The caller reports an overflow, with the name of the clip.
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(frames), _BLOCK):
                block = frames[start : start + _BLOCK]
                # As the window is in float64, so is the FFT: in float32, rounding noise would bury
                # quiet bands beside loud ones.
                spectrum = np.fft.rfft(np.multiply(block, window, out=windowed[: len(block)]))
                power = np.abs(spectrum.astype(np.complex64))
                power *= power
                for group in groups:
                    energies[start : start + _BLOCK, group.bands] = (
                        power[:, group.bins] @ group.filters
                    )
            energies += np.float32(self.eps)
            return np.log(energies, out=energies)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _samples_of(block: Any) -> NDArray[Any]:
    samples = np.asarray(block)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise ValueError(
            "blocks must be float arrays of shape (n_samples,), with samples that are usually "
            f"between -1 and 1; got {samples.dtype} of shape {samples.shape}"
        )
    return samples


def _what_is_wrong(samples: NDArray[Any]) -> str:
    """Describe what is wrong with samples whose features are not finite."""
    return "too large to square" if np.isfinite(samples).all() else "NaN or infinite"


def _stack(rows: list[Any]) -> NDArray[np.float32] | list[NDArray[np.float32]]:
    """Make one array if all lengths agree; free the rows one by one to save memory."""
    if len({len(row) for row in rows}) > 1:
        return rows
    out = np.empty((len(rows), *rows[0].shape), np.float32)
    for i in range(len(rows)):
        out[i], rows[i] = rows[i], None
    return out
