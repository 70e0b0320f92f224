"""Mixtures of a whole batch at once, on any device, and their features.

Everything is tensors: backgrounds and sounds are gathered from one row of samples that stays on
the device, changed by a few large Fourier transforms, added up, sent through a recorder, and
turned into log filter bank energies as ``LFBETransformer`` computes them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mixture_plans import N_ROOMS, Plan
from recorders import N_KNOTS
from synthetic_sounds import RATE
from torch import Tensor

from sklearn_rcrnn.nn.losses import Targets

HOP, EPS = 1024, 1e-10
STEP_SECONDS = 8 * HOP / RATE
# The sounds of a batch are processed in groups of (longest sound, buffer), both in seconds, so that
# short sounds, which are most, do not cost as much as long ones. The rest of a buffer holds the
# reverberation.
_GROUPS = ((0.9, 1.4), (2.4, 3.0), (6.4, 7.0))
_ROOM_SECONDS = 0.5
_KNOTS = np.geomspace(60.0, 20000.0, N_KNOTS)
_BLOCK = 441
_TINY = 1e-9


class Batch(NamedTuple):
    """Features (n_clips, n_frames, n_bands) and true events in steps of the feature map."""

    features: Tensor
    targets: Targets


class Mixer:
    """Renders plans.

    Parameters
    ----------
    samples : float32 Tensor of shape (n,)
        From :func:`bank_index.joined_samples`, on the device that computes.
    mel : float32 Tensor of shape (1025, n_bands)
        Filters of ``LFBETransformer``.
    window : float64 Tensor of shape (2048,)
    seed : int
        Seed of the noise, which is drawn on the device.
    """

    def __init__(self, samples: Tensor, mel: Tensor, window: Tensor, seed: int):
        self.samples = samples
        self.device = samples.device
        self.mel = mel.to(self.device)
        self.window = window.to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def __call__(self, plan: Plan) -> Batch:
        """Return the features and the true events of a batch."""
        waveforms, truth = self.render(plan)
        return Batch(lfbe(waveforms, self.mel, self.window), truth)

    def render(self, plan: Plan) -> tuple[Tensor, Targets]:
        """Render waveforms (n_clips, n_samples), and return them with the true events."""
        p = {name: torch.from_numpy(values).to(self.device) for name, values in plan.items()}
        n = int(plan["n_samples"])
        mixture = self._surroundings(p, plan, n)
        if "row_clip" in plan:
            self._add_sounds(mixture, p, plan)
        mixture = self._record(mixture, p)
        if len(plan["codec_clip"]):
            self._encode(mixture, p)
        mixture = self._digitize(mixture, p)
        intervals = p["events"] / STEP_SECONDS
        return mixture, Targets(intervals, p["event_labels"], p["event_mask"])

    def _noise(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device, generator=self.generator)

    # Surroundings

    def _surroundings(self, p: dict[str, Tensor], plan: Plan, n: int) -> Tensor:
        time = torch.arange(n, device=self.device)
        breaks = p["piece_break"]
        piece = torch.searchsorted(
            breaks[:, 1:].contiguous(), time.repeat(len(breaks), 1), right=True
        )
        source = p["piece_source"]
        first = p["piece_first"] - breaks
        place = (time + first.gather(1, piece)) % source[..., 1].clamp(min=1).gather(1, piece)
        background = self.samples[place + source[..., 0].gather(1, piece)]
        background *= p["piece_gain"].gather(1, piece)
        size, start = p["under_source"][:, 1:], p["under_source"][:, :1]
        under = self.samples[(time + p["under_first"][:, None]) % size + start]
        background += p["under_gain"][:, None] * under
        background = self._color(background, p, plan, piece)
        frequencies = _frequencies(n, self.device)
        noise = torch.fft.rfft(self._noise(len(breaks), n))
        noise *= (frequencies + 20) ** -p["noise_slope"][:, None]
        noise = torch.fft.irfft(noise, n)
        background += noise * (p["noise_level"][:, None] / _rms(noise))
        return self._hum(background, p, plan, time)

    def _color(self, background: Tensor, p: dict[str, Tensor], plan: Plan, piece: Tensor) -> Tensor:
        """Color each background by one equalizer; joined pieces have one of two."""
        n = background.shape[1]
        spectrum = torch.fft.rfft(background)
        frequencies = _frequencies(n, self.device)
        filters = [
            _equalizer(frequencies, p["color_knots"][:, i])
            * _low_pass(frequencies, p["color_cut"][:, i])
            for i in range(2)
        ]
        colored = torch.fft.irfft(spectrum * filters[0], n)
        joined = np.flatnonzero(plan["joined"])
        if len(joined):
            own = torch.from_numpy(joined).to(self.device)
            other = torch.fft.irfft(spectrum[own] * filters[1][own], n)
            second = p["piece_color"][own].gather(1, piece[own])
            colored[own] = torch.where(second, other, colored[own])
        return colored

    def _hum(self, mixture: Tensor, p: dict[str, Tensor], plan: Plan, time: Tensor) -> Tensor:
        clips = np.flatnonzero(plan["hum_level"])
        if len(clips):
            own = torch.from_numpy(clips).to(self.device)
            turns = time / RATE * p["hum_pitch"][own].double()[:, None]
            hum = sum(torch.sin(2 * torch.pi * (turns * k % 1)).float() / k for k in range(1, 7))
            mixture[own] += p["hum_level"][own][:, None] * hum
        return mixture

    # Sounds

    def _add_sounds(self, mixture: Tensor, p: dict[str, Tensor], plan: Plan) -> None:
        energies = F.pad(mixture, (0, -mixture.shape[1] % _BLOCK)).unflatten(1, (-1, _BLOCK))
        energies = F.pad(energies.square().sum(-1).double().cumsum(1), (1, 0))
        decay_time = torch.arange(round(_ROOM_SECONDS * RATE), device=self.device) / RATE
        rooms = self._noise(N_ROOMS, len(decay_time))
        seconds = plan["row_length"] / RATE / plan["row_speed"]
        shortest = 0.0
        for longest, buffer in _GROUPS:
            rows = np.flatnonzero((seconds > shortest) & (seconds <= longest))
            shortest = longest
            if not len(rows):
                continue
            own = torch.from_numpy(rows).to(self.device)
            r = {name[4:]: t[own] for name, t in p.items() if name.startswith("row_")}
            self._add_group(mixture, energies, r, rooms, decay_time, n=round(buffer * RATE))

    def _add_group(
        self,
        mixture: Tensor,
        energies: Tensor,
        r: dict[str, Tensor],
        rooms: Tensor,
        decay_time: Tensor,
        n: int,
    ) -> None:
        size = (r["length"] / r["speed"].double()).round().long()
        sound = self._changed(r, size, rooms, decay_time, n)
        time = torch.arange(n, device=self.device)
        # The level is given in dB relative to the mixture under the sound.
        blocks = energies.shape[1] - 1
        first = (r["start"] // _BLOCK).clamp(0, blocks - 1)
        last = torch.maximum(((r["start"] + size) // _BLOCK).clamp(0, blocks), first + 1)
        total = energies[r["clip"], last] - energies[r["clip"], first]
        under = (total / ((last - first) * _BLOCK)).clamp(min=0).sqrt().float()
        wanted = torch.maximum(under * 10 ** (r["ratio"] / 20), r["level"])
        inside = time < size[:, None]
        loudness = (torch.where(inside, sound, 0.0).square().sum(1) / size).sqrt()
        sound *= (wanted / loudness.clamp(min=_TINY))[:, None]
        place = r["start"][:, None] + time
        heard = (place >= 0) & (place < mixture.shape[1])
        flat = r["clip"][:, None] * mixture.shape[1] + place.clamp(0, mixture.shape[1] - 1)
        mixture.view(-1).scatter_add_(0, flat.flatten(), torch.where(heard, sound, 0.0).flatten())

    def _changed(
        self, r: dict[str, Tensor], size: Tensor, rooms: Tensor, decay_time: Tensor, n: int
    ) -> Tensor:
        """Change the speed and color of sounds, and put them into a room or a street."""
        time = torch.arange(n, device=self.device)
        position = time * r["speed"].double()[:, None]
        whole = position.floor()
        x = (position - whole).float()
        place = whole.long()
        last = (r["length"] - 1)[:, None]
        a, b, c, d = (
            self.samples[r["source"][:, None] + torch.minimum((place + k).clamp(min=0), last)]
            for k in (-1, 0, 1, 2)
        )
        # Cubic interpolation (Catmull-Rom).
        sound = b + x / 2 * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))
        fade = (r["fade"] * RATE).clamp(min=1)[:, None]
        rest = size[:, None] - time
        sound *= (rest > 0) * torch.minimum((time + 1) / fade, rest / fade).clamp(0, 1)
        room = torch.zeros(len(size), n, device=self.device)
        room[:, : len(decay_time)] = rooms[r["room"]] * torch.exp(
            -decay_time * r["room_decay"][:, None]
        )
        room *= r["room_level"][:, None] / room.square().sum(1, keepdim=True).sqrt()
        room[:, 0] = 1.0
        delays = (r["echoes"][:, 0] * RATE).long().clamp(max=n - 1)
        room.scatter_add_(1, delays, r["echoes"][:, 1])
        frequencies = _frequencies(n, self.device)
        spectrum = torch.fft.rfft(sound) * torch.fft.rfft(room)
        spectrum *= _equalizer(frequencies, r["knots"]) * _low_pass(frequencies, r["cut"])
        return torch.fft.irfft(spectrum, n)

    # Recorder

    def _record(self, mixture: Tensor, p: dict[str, Tensor]) -> Tensor:
        """Apply the response of the microphone and the bandwidth of the recorder."""
        n = mixture.shape[1]
        frequencies = _frequencies(n, self.device)
        low, high = p["band"][:, :1], p["band"][:, 1:]
        response = _equalizer(frequencies, p["microphone"])
        response *= 1 / torch.sqrt(1 + (low / (frequencies + 1)) ** 4)
        # As after resampling, nothing remains above the bandwidth.
        response *= torch.sigmoid((high - frequencies) / (0.004 * high))
        response *= frequencies < 1.08 * high
        return torch.fft.irfft(torch.fft.rfft(mixture) * response, n)

    def _encode(self, mixture: Tensor, p: dict[str, Tensor]) -> None:
        """Drop masked lines frame by frame, as lossy codecs do."""
        clips = p["codec_clip"]
        waveforms = mixture[clips]
        window = torch.hann_window(1024, device=self.device)
        spectra = torch.stft(waveforms, 1024, 512, window=window, return_complex=True)
        power = spectra.real.square() + spectra.imag.square()
        # Energy in about a critical band around each line, spread to higher lines.
        lines = power.shape[1]
        bands = _critical_bands(lines, self.device)
        energy = torch.einsum("clt,bl->cbt", power, bands)
        masked = torch.einsum(
            "cbt,lb->clt", energy, bands.T / bands.sum(0)[:, None].clamp(min=_TINY)
        )
        threshold = masked * 10 ** (-p["codec_mask"] / 10)[:, None, None]
        floor = energy.amax(1, keepdim=True) * 10 ** (-p["codec_floor"] / 10)[:, None, None]
        kept = power > torch.maximum(threshold, floor)
        frequencies = torch.arange(lines, device=self.device) * RATE / 1024
        kept &= (frequencies < p["codec_cut"][:, None])[..., None]
        rough = 1 + 0.15 * self._noise(*power.shape)
        spectra = torch.where(kept, spectra * rough, 0.0)
        n = mixture.shape[1]
        mixture[clips] = torch.istft(spectra, 1024, 512, window=window, length=n)

    def _digitize(self, mixture: Tensor, p: dict[str, Tensor]) -> Tensor:
        """Apply fades, level, clipping and quantization."""
        n = mixture.shape[1]
        time = (torch.arange(n, device=self.device) + 0.5) / RATE
        rise, fall = (p["fades"][:, i : i + 1].clamp(min=1e-5) for i in range(2))
        mixture = mixture * torch.minimum(time / rise, (n / RATE - time) / fall).clamp(0, 1)
        mixture *= p["gain"][:, None]
        peak = mixture.abs().amax(1, keepdim=True).clamp(min=_TINY)
        drive = p["drive"][:, None] / peak
        driven = mixture * drive
        clipping = p["clipping"][:, None]
        mixture = torch.where(clipping == 0, mixture / peak.clamp(min=1), driven.clamp(-1, 1))
        mixture = torch.where(clipping == 2, torch.tanh(driven), mixture)
        steps = p["steps"][:, None]
        dither = torch.rand(2, *mixture.shape, device=self.device, generator=self.generator)
        dither = (dither[0] - dither[1]) * p["dither"][:, None]
        rounded = torch.round(mixture * steps + dither) / steps.clamp(min=1)
        return torch.where(steps > 0, rounded, mixture)


def lfbe_filters() -> tuple[Tensor, Tensor]:
    """The mel filters and the window of ``LFBETransformer``."""
    from sklearn_rcrnn import LFBETransformer

    window, mel = LFBETransformer()._filters()
    return torch.from_numpy(mel), torch.from_numpy(window)


def lfbe(
    waveforms: Tensor, mel: Tensor, window: Tensor, *, hop: int = HOP, most: int = 2**15
) -> Tensor:
    """Compute LFBEs of waveforms of equal length, as ``LFBETransformer`` does.

    Parameters
    ----------
    waveforms : float32 Tensor of shape (n_clips, n_samples)
    mel : float32 Tensor of shape (n_fft // 2 + 1, n_bands)
    window : float64 Tensor of shape (n_fft,)
    hop : int
        Samples from frame to frame.
    most : int
        Largest number of frames that are transformed together.
    """
    n_fft = len(window)
    frames = F.pad(waveforms, (n_fft // 2, n_fft // 2)).unfold(1, n_fft, hop)
    at_once = max(1, most // frames.shape[1])
    rows = []
    for part in frames.split(at_once):
        spectrum = torch.fft.rfft(part * window).to(torch.complex64)
        power = spectrum.real.square() + spectrum.imag.square()
        rows.append(torch.log(power @ mel + EPS))
    return torch.cat(rows)


def _frequencies(n: int, device: torch.device) -> Tensor:
    return torch.arange(n // 2 + 1, device=device) * (RATE / n)


def _equalizer(frequencies: Tensor, knots: Tensor) -> Tensor:
    """Interpolate gains (n, n_frequencies) from knots in dB, linearly over log frequency."""
    at = torch.log(frequencies.clamp(min=_KNOTS[0], max=_KNOTS[-1]) / _KNOTS[0])
    at = at * ((N_KNOTS - 1) / np.log(_KNOTS[-1] / _KNOTS[0]))
    below = at.long().clamp(max=N_KNOTS - 2)
    share = at - below
    decibels = knots[:, below] * (1 - share) + knots[:, below + 1] * share
    return torch.exp(decibels * (np.log(10) / 20))


def _low_pass(frequencies: Tensor, cut: Tensor) -> Tensor:
    return 1 / (1 + (frequencies / cut[:, None]) ** 16)


def _critical_bands(lines: int, device: torch.device) -> Tensor:
    """Make overlapping bands (n_bands, lines), as wide as the critical bands of the ear."""
    f = torch.arange(lines, device=device) * RATE / 2 / (lines - 1)
    bark = 13 * torch.atan(0.00076 * f) + 3.5 * torch.atan((f / 7500) ** 2)
    centres = torch.arange(0, 25, 0.5, device=device)[:, None]
    return (1 - (bark - centres).abs()).clamp(min=0)


def _rms(waveforms: Tensor) -> Tensor:
    return waveforms.square().mean(1, keepdim=True).sqrt().clamp(min=_TINY)
