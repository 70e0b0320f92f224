"""The mixtures that the shipped weights learn from: plans, rendering, features, material."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sklearn_rcrnn import LFBETransformer, load
from sklearn_rcrnn.datasets import generate_mixture_recipes, synthesize_mixtures
from sklearn_rcrnn.nn.rcrnn import RCRNN

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "accuracy"))

import bank as bank_module
import bank_index
import mixture_plans
import mixtures
import paper_mixtures
import train_weights
from bank import Bank, Sound
from batch_pool import fit_subset
from made_backgrounds import SECONDS, made_backgrounds
from mixed_styles import MixedStyles, drop_channels
from small_corpus import write_subset

RATE = 44100


@pytest.fixture(scope="module")
def bank():
    """Tones of half a second as events, noise as the only other sound and background."""
    rng = np.random.default_rng(0)
    time = np.arange(RATE // 2) / RATE
    sounds = [
        Sound(np.float32(np.sin(2 * np.pi * f * time)), label, "here", f"{label}-{i}")
        for i, (f, label) in enumerate([(500, "low"), (600, "low"), (5000, "high")])
    ]
    sounds.append(Sound(rng.normal(size=RATE // 3).astype("float32"), "other", "here", "other"))
    backgrounds = [0.1 * rng.normal(size=30 * RATE).astype("float32") for _ in range(2)]
    return Bank(["high", "low"], sounds, backgrounds)


def batch(index, seed, length, n_clips, wide=False):
    """The plan of a batch without files that are hardly more than an event."""
    rng = np.random.default_rng(seed)
    return mixture_plans._Batch(index, rng, length, n_clips, own_file=0.0, wide=wide).plan()


def mixer(bank, seed=0):
    window, mel = LFBETransformer()._filters()
    samples = torch.from_numpy(bank_index.joined_samples(bank))
    return mixtures.Mixer(samples, torch.from_numpy(mel), torch.from_numpy(window), seed)


def test_features_are_those_of_the_transformer():
    rng = np.random.default_rng(0)
    loud_and_quiet = np.sin(np.arange(2 * RATE) / 10) + 1e-6 * rng.normal(size=2 * RATE)
    clips = np.float32([loud_and_quiet, 0 * loud_and_quiet])
    transformer = LFBETransformer()
    window, mel = transformer._filters()
    ours = mixtures.lfbe(
        torch.from_numpy(clips), torch.from_numpy(mel), torch.from_numpy(window), most=50
    )
    np.testing.assert_allclose(ours.numpy(), transformer.transform(clips), atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"n_mels": 40, "hop_length": 882}])
def test_mixtures_of_the_paper_are_the_same_where_a_card_would_make_them(settings, tmp_path):
    rng = np.random.default_rng(0)
    backgrounds = {f"b{i}_0_30.wav": 0.2 * rng.normal(size=30 * RATE) for i in range(2)}
    # The loud one makes the mixture clip, so that it is divided by its peak.
    events = {
        "high": [
            (f"e{i}_0.wav", own * rng.uniform(-1, 1, RATE), RATE, (0.1, 0.9))
            for i, own in enumerate((0.001, 1.0))
        ]
    }
    write_subset(tmp_path / "source_data", "devtrain", backgrounds, events)
    recipes = generate_mixture_recipes(
        tmp_path, mixtures_per_class=6, event_presence_prob=0.7, ebrs=(0, 30), classes=["high"]
    )
    X, _ = synthesize_mixtures(tmp_path, recipes, lazy=True)
    transformer = LFBETransformer(**settings)
    ours = paper_mixtures.features_on("cpu", X, transformer)
    np.testing.assert_allclose(ours, transformer.transform(X), atol=1e-4)


def test_plans_repeat_by_seed_and_events_lie_in_their_clips(bank):
    index = bank_index.index_bank(bank)
    drawn = [
        [mixture_plans.draw_plan(index, rng, 60.0) for _ in range(20)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    ]
    for plan, same in zip(*drawn, strict=True):
        assert plan.keys() == same.keys()
        assert all(np.array_equal(plan[name], same[name]) for name in plan)
        length = plan["n_samples"] / RATE
        onsets, offsets = plan["events"][plan["event_mask"]].T
        assert np.all((onsets >= 0) & (offsets <= length + 1e-6) & (offsets - onsets > 0.099))
    lengths = {int(plan["n_samples"]) for plan in drawn[0]}
    assert len(lengths) > 5
    assert sum(plan["event_mask"].sum() for plan in drawn[0]) > 100


def test_only_wide_mixtures_have_guns_of_any_size(bank):
    sounds = [Sound(s.samples, "gunshot", "here", s.recording) for s in bank.sounds[:3]]
    guns = Bank(["gunshot"], sounds, bank.backgrounds)
    index = bank_index.index_bank(guns)
    # Distractors are pieces of the backgrounds, which begin behind all sounds.
    speeds = {}
    for wide in (False, True):
        plan = batch(index, 1, 10.0, 60, wide=wide)
        is_gun = plan["row_source"] < index.background_starts[0]
        speeds[wide] = plan["row_speed"][is_gun]
    assert 0.83 <= speeds[False].min() < speeds[False].max() <= 1.22
    assert 0.62 <= speeds[True].min() < 0.75 < 1.4 < speeds[True].max() <= 0.62 * 2.6


def test_labels_and_sources_share_the_draws():
    sounds = [
        Sound(np.ones(RATE, np.float32), label, source, f"{label}-{source}-{i}")
        for label, source, n in (("a", "big", 90), ("a", "small", 10), ("b", "big", 5))
        for i in range(n)
    ]
    index = bank_index.index_bank(Bank(["a", "b"], sounds, [np.ones(RATE, np.float32)]))
    assert index.event_weights[:100].sum() == pytest.approx(0.5)
    # As the roots of 90 and 10.
    assert index.event_weights[:90].sum() == pytest.approx(0.5 * 3 / 4)


def test_sounds_lie_where_the_truth_says(bank):
    index = bank_index.index_bank(bank)
    plan = batch(index, 1, 5.0, 24)
    # Nothing but the events, by a recorder that changes nothing.
    for name in ("piece_gain", "under_gain", "noise_level", "hum_level", "fades", "microphone"):
        plan[name] = np.zeros_like(plan[name])
    for name in ("clipping", "steps", "row_room_level", "row_echoes", "row_knots"):
        plan[name] = np.zeros_like(plan[name])
    plan["drive"] = np.zeros_like(plan["drive"])
    plan["row_cut"] = np.full_like(plan["row_cut"], 1e6)
    plan["band"] = np.tile(np.float32([0, 1e6]), (24, 1))
    plan["codec_clip"] = plan["codec_clip"][:0]
    kept = index.lengths.tolist().index(RATE // 3)  # the sound that is no event
    events = plan["row_source"] != index.starts[kept]
    events &= plan["row_length"] == RATE // 2
    # What is heard of less than a tenth of a second is no event.
    ends = plan["row_start"] + plan["row_length"] / plan["row_speed"]
    events &= np.minimum(ends, plan["n_samples"]) - np.maximum(plan["row_start"], 0) > 0.11 * RATE
    plan |= {k: v[events] for k, v in plan.items() if k.startswith("row_")}
    waveforms, truth = mixer(bank).render(plan)
    assert truth.mask.sum() > 10
    time = torch.arange(waveforms.shape[1]) / RATE / mixtures.STEP_SECONDS
    inside = torch.zeros_like(waveforms, dtype=torch.bool)
    for clip, own in enumerate(truth.mask):
        for onset, offset in truth.intervals[clip][own]:
            inside[clip] |= (time >= onset - 0.01) & (time <= offset + 0.01)
            middle = (time > onset + 0.1) & (time < offset - 0.1)
            assert waveforms[clip, middle].square().mean() > 1e-9
    loudest = waveforms.abs().amax(1, keepdim=True).clamp(min=1e-6)
    assert (waveforms.abs() / loudest)[~inside].max() < 0.01


def test_rendering_is_finite_bounded_and_repeats(bank):
    index = bank_index.index_bank(bank)
    rng = np.random.default_rng(0)
    plans = [mixture_plans.draw_plan(index, rng, 20.0) for _ in range(6)]
    first, second = mixer(bank), mixer(bank)
    for plan in plans:
        waveforms, _ = first.render(plan)
        assert torch.isfinite(waveforms).all()
        assert waveforms.abs().max() <= 1.0
        assert torch.allclose(waveforms, second.render(plan)[0], atol=1e-6)


def test_bandwidth_leaves_nothing_above(bank):
    plan = batch(bank_index.index_bank(bank), 0, 3.0, 4)
    plan["band"] = np.tile(np.float32([0, 4000]), (4, 1))
    plan["steps"] = np.zeros_like(plan["steps"])
    for name in ("drive", "clipping", "fades"):
        plan[name] = np.zeros_like(plan[name])
    plan["codec_clip"] = plan["codec_clip"][:0]
    waveforms, _ = mixer(bank).render(plan)
    power = torch.fft.rfft(waveforms).abs().square()
    above = torch.fft.rfftfreq(waveforms.shape[1], 1 / RATE) > 4500
    assert (power[:, above].sum(1) <= 1e-9 * power.sum(1)).all()


@pytest.mark.parametrize(
    ("license", "permissive"),
    [
        ("ODbL/DbCL", True),
        ("CC0/CC-BY per file (credits.md), pack CC BY-SA 4.0", True),
        ("CC BY-SA 4.0", True),
        ("GPL-2+/CC-BY(-SA) 3.0 (Debian ufoai-sound)", True),
        ("CC BY-NC (UrbanSound8K)", False),
        ("ESC/CC BY-NC", False),
        ("DCASE 2016 task 2 (research)", False),
        ("not stated (public repository)", False),
        ("unstated", False),
        ("Pixabay/CC0 (see repository)", False),
        ("see repository", False),
    ],
)
def test_general_hears_permissive_licenses_only(license, permissive):
    entry = bank_module.Entry(Path("x"), "bark", "source", license, recording="x", segment=None)
    assert bank_module.is_permissive(entry) is permissive


def test_quiet_ends_are_cut():
    samples = np.full(RATE, 1e-3, np.float32)
    samples[RATE // 4 : RATE // 2] = 0.5
    assert len(bank_module.tightened(samples)) == pytest.approx(RATE / 4, abs=2 * RATE / 100)


def test_styles_are_mixed_and_what_happens_in_time_stays():
    torch.manual_seed(0)
    network = RCRNN(64, 2, gru_units=4, dense_units=8)
    styles = MixedStyles(network, share=1.0)
    styles.chosen, styles.beta = styles.layers[0], torch.distributions.Uniform(0, 1e-6)
    maps = torch.randn(2, 3, 50, 4) * torch.tensor([1.0, 5.0])[:, None, None, None]
    mixed = torch.stack([styles._mix(styles.layers[0], None, maps) for _ in range(20)])
    # By the drawn order a clip has its own style, or the other's, which has another deviation.
    deviations = mixed.std(3).mean((2, 3))
    assert {round(float(d)) for d in deviations[:, 0]} == {1, 5}
    centered = [(m - m.mean(2, keepdim=True)) / m.std(2, keepdim=True) for m in (maps, mixed[0])]
    torch.testing.assert_close(*centered, atol=1e-3, rtol=1e-3)
    assert styles._mix(styles.layers[1], None, maps) is None
    styles.share = 0.0
    styles.draw()
    assert styles._mix(styles.layers[0], None, maps) is None


def test_dropped_channels_are_silent_in_the_whole_clip_and_only_in_training():
    torch.manual_seed(0)
    network = RCRNN(64, 2, gru_units=20, dense_units=8)
    features = torch.randn(6, 80, 64)
    heard = network.eval().extractor(features)
    drop_channels(network, 0.25)
    torch.testing.assert_close(network.extractor(features), heard)
    silent = (network.train().extractor(features) == 0).all(1)  # (n_clips, n_channels)
    assert 0.1 < silent.float().mean() < 0.4
    assert not silent.all(0).any()  # each clip has channels of its own that are dropped


def test_made_backgrounds_are_as_long_and_as_loud_as_recorded_ones():
    time = np.arange(5 * RATE) / RATE
    recorded = [np.float32(g * np.sin(6.28 * f * time)) for g, f in [(0.1, 500), (0.3, 3000)]]
    made = made_backgrounds(recorded, 12, seed=0)
    assert {len(samples) for samples in made} == {SECONDS * RATE}
    levels = {round(float(np.sqrt(np.mean(samples**2))), 4) for samples in made}
    assert levels == {round(gain / 2**0.5, 4) for gain in (0.1, 0.3)}
    # Tones of other speeds, joins and layers: the strongest frequencies are all over the place.
    peaks = [np.abs(np.fft.rfft(samples)).argmax() / SECONDS for samples in made]
    assert len({round(peak) for peak in peaks}) > 8
    assert all(340 < peak < 710 or 2100 < peak < 4250 for peak in peaks)
    again = made_backgrounds(recorded, 12, seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    assert made_backgrounds(recorded, 0, seed=0) == []


def test_a_judge_hears_neither_its_recordings_nor_its_scenes(tmp_path):
    """Of each label some recordings, all of a foreign source, and the scenes of a list."""
    setup = tmp_path / "source_data" / "cv_setup"
    setup.mkdir(parents=True)
    cries = [{"audio_filename": f"c{i}.flac", "segment": [0, 1]} for i in range(20)]
    scenes = [{"filepath": f"audio/{name}_{k}.ogg"} for name in ("road", "beach") for k in "ab"]
    (setup / "events_devtrain2.yaml").write_text(yaml.safe_dump({"babycry": cries}))
    (setup / "bgs_devtrain2.yaml").write_text(yaml.safe_dump(scenes))
    rows = [
        ("events/babycry/" + row["audio_filename"], "here", f"c{i // 2}")
        for i, row in enumerate(cries)
    ]
    rows[-2:] = [(file, "giulbia/baby_cry_detection", name) for file, _, name in rows[-2:]]
    rows += [(f"bgs/audio/{name}*", "here", name) for name in ("road", "beach")]
    with (tmp_path / "provenance.csv").open("w") as file:
        print("file,repository,recording,licence", file=file)
        for name, source, recording in rows:
            print(f"{name},{source},{recording},CC0", file=file)
    hold, foreign = bank_module.divide(tmp_path).values()
    for part in (hold, foreign):
        assert {e.path.name for e in part if e.kind == "bg"} == {"road_a.ogg", "road_b.ogg"}
    assert {e.path.name for e in foreign if e.kind != "bg"} == {"c18.flac", "c19.flac"}
    held = {e.recording for e in hold if e.kind != "bg"}
    assert len(held) == 2  # at least two recordings, each with all of its segments
    assert len([e for e in hold if e.kind != "bg"]) == 4
    assert held < {f"c{i}" for i in range(9)}


def test_plain_mixtures_hear_all_their_subsets_but_what_is_left_out(tmp_path):
    setup = tmp_path / "source_data" / "cv_setup"
    setup.mkdir(parents=True)
    row = {"audio_filename": "long.flac", "segment": [0, 12]}  # longer than a mixture
    cries = [row, *({"audio_filename": f"c{i}.flac", "segment": [0, 1]} for i in range(2))]
    steps = [{"audio_filename": "s.flac", "segment": [0, 1]}]
    for subset, events in (("devtrain2", {"babycry": cries}), ("other", {"footsteps": steps})):
        (setup / f"events_{subset}.yaml").write_text(yaml.safe_dump(events))
    scenes = [{"filepath": f"audio/{name}.ogg"} for name in ("road", "beach")]
    (setup / "bgs_devtrain2.yaml").write_text(yaml.safe_dump(scenes))
    without = {Path("c1.flac"), Path("beach.ogg")}
    folder = fit_subset(tmp_path, tmp_path / "fit", ["devtrain2", "other"], without)
    kept = folder / "source_data" / "cv_setup"
    assert yaml.safe_load((kept / "events_fit.yaml").read_text()) == {
        "babycry": [cries[1]],
        "footsteps": steps,
    }
    assert yaml.safe_load((kept / "bgs_fit.yaml").read_text()) == scenes[:1]


def test_a_training_that_was_broken_off_goes_on(bank, tmp_path):
    sizes = ("--gru-units", 2, "--dense-units", 4, "--batch-seconds", 15, "--pool", 4)
    said = []

    def trained(minutes):
        args = ("rare-events", *sizes, "--device", "cpu", "--minutes", minutes, "--work", tmp_path)
        args = train_weights.parse_args([str(arg) for arg in args])
        file = train_weights.train(args, bank, None, said.append)
        return torch.load(file)

    first = trained(0.02)
    assert first["labels"] == ["high", "low"]
    assert trained(0.02)["steps"] == first["steps"]  # the time is over
    second = trained(first["minutes"] + 0.01)
    assert second["steps"] > first["steps"] > 0
    assert second["minutes"] > first["minutes"] + 0.01
    assert said[-1].startswith(f"rare-events: {second['steps']} steps in ")
    assert not all(second["weights"][k].equal(v) for k, v in first["weights"].items())
    train_weights.export(tmp_path / "rare-events.pt", tmp_path / "model")
    assert load(tmp_path / "model")[-1].classes_.tolist() == ["high", "low"]
