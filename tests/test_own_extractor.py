"""A module of one's own as extractor: the contract, training, freezing, clocks and files."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import soundfile
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from sklearn_rcrnn import (
    CRNNPretrainer,
    RCRNNDetector,
    detect_file,
    detect_stream,
    load,
    make_rcrnn_pipeline,
    save,
)
from sklearn_rcrnn.datasets import make_rare_events
from sklearn_rcrnn.inference.transport import packed, unpacked


class Every4(torch.nn.Module):
    """One step for four frames, and nothing else than a linear layer."""

    frames_per_step = 4

    def __init__(self, n_bands=64, n_channels=12):
        super().__init__()
        self.n_channels = n_channels
        self.linear = torch.nn.Linear(n_bands, n_channels)

    def forward(self, features, lengths=None):
        return self.linear(features[:, :: self.frames_per_step])


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Every4()


def test_precomputed_maps_of_other_steps(module, features):
    """The steps of maps that know their clock are not silently taken for those of eight frames."""
    X, y = features
    maps = CRNNPretrainer(extractor=module, max_epochs=1, random_state=0).fit_transform(X, y)
    assert maps.frame_shift == pytest.approx(4 * 1024 / 44100)
    detector = RCRNNDetector(extractor="precomputed", max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=r"set the estimator's frame_shift to 0\.0116099773"):
        detector.fit(maps, y)
    detector.set_params(frame_shift=0.0116099773).fit(maps, y)
    assert detector.transform(maps).frame_shift == pytest.approx(maps.frame_shift)


class Other(Every4):
    """The contract of an extractor, with other names of arguments and half precision."""

    def forward(self, x, n):
        return self.linear(x[:, ::4]).half()


def test_pretraining_takes_what_keeps_the_contract(features):
    X, y = features
    pretrainer = CRNNPretrainer(extractor=Other(), max_epochs=1, random_state=0).fit(X, y)
    assert pretrainer.predict_proba(X).shape == (24, 3)
    for precision in ("float32", "bfloat16"):
        maps = pretrainer.set_params(precision=precision).transform(X)
        assert maps.dtype == np.float32
        assert maps.shape == (24, 44, 12)


def test_times_are_those_of_the_trained_extractor(features):
    """They were halved by an extractor that was to be trained next."""
    X, y = features
    other = Every4(n_channels=8)
    params = {"max_epochs": 1, "score_threshold": 0.0, "random_state": 0}
    for estimator in (
        RCRNNDetector(gru_units=4, dense_units=8, **params),
        CRNNPretrainer(gru_units=4, max_epochs=1, random_state=0),
    ):
        estimator.fit(X, y)
        method = getattr(estimator, "predict", estimator.transform)
        before, clock = method(X[:2]), estimator.transform(X).frame_shift
        after = estimator.set_params(extractor=other)
        np.testing.assert_array_equal(method(X[:2]), before)
        assert after.transform(X).frame_shift == clock
        estimator.set_params(extractor="precomputed")
        assert estimator.transform(X).frame_shift == clock


@pytest.fixture
def detector(module):
    return RCRNNDetector(
        extractor=module,
        dense_units=16,
        anchor_sizes=(2, 8, 16),
        max_epochs=2,
        batch_size=8,
        score_threshold=0.0,
        random_state=0,
    )


def test_steps_are_those_of_the_module(detector, features):
    X, y = features
    detector.fit(X, y)
    assert detector._step_seconds() == pytest.approx(4 * 1024 / 44100)
    network = detector.net_.module_
    assert network.frames_per_step == 4
    assert network.rpn(torch.zeros(1, 44, 12))[0].shape == (1, 44 * 3)
    for clip in detector.predict(X):
        assert clip
        assert all(0 <= event.onset < event.offset <= 172 * 1024 / 44100 + 1e-6 for event in clip)


def test_long_clips_go_through_in_windows_of_whole_steps(detector, features):
    X, y = features
    detector.fit(X, y)
    long = np.concatenate([X[i % len(X)] for i in range(20)])  # 80 s
    found = detector.predict([long])[0]
    assert found[-1].offset > 70
    assert max(event.offset for event in found) <= (len(long) - 1) * 1024 / 44100 + 1e-6


def test_padding_is_not_heard(detector, features):
    """A clip has the same events alone and beside longer ones, whatever a module makes of zeros."""
    X, y = features
    detector.fit(X, y)
    short = X[0][:61]
    (alone,) = detector.predict([short])
    beside = detector.predict([short, X[1]])[0]
    for ours, theirs in zip(alone, beside, strict=True):
        assert ours.label == theirs.label
        assert (ours.onset, ours.offset, ours.score) == pytest.approx(
            (theirs.onset, theirs.offset, theirs.score), abs=1e-5
        )


def test_fit_trains_a_copy(detector, module, features):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    detector.fit(*features)
    assert detector.extractor is module
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
        assert not torch.equal(value, detector.net_.module_.extractor.state_dict()[name])


def test_frozen_without_a_pretrainer(detector, module, features):
    detector.set_params(freeze_extractor=True).fit(*features)
    for name, value in module.state_dict().items():
        assert torch.equal(value, detector.net_.module_.extractor.state_dict()[name])


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_a_learning_rate_of_its_own(detector, features, schedule):
    detector.set_params(extractor_lr=1e-4, lr=1e-2, lr_schedule=schedule, max_epochs=1)
    detector.fit(*features)
    first, rest = detector.net_.optimizer_.param_groups
    assert {id(p) for p in first["params"]} == {
        id(p) for p in detector.net_.module_.extractor.parameters()
    }
    assert rest["lr"] == pytest.approx(100 * first["lr"])
    assert first.get("max_lr", first["lr"]) == pytest.approx(1e-4)


def test_clone_pickle_and_search(detector, features):
    X, y = features
    twin = clone(detector)
    assert twin.extractor is not detector.extractor
    assert torch.equal(twin.extractor.linear.weight, detector.extractor.linear.weight)
    detector.set_params(max_epochs=1).fit(X, y)
    assert pickle.loads(pickle.dumps(detector)).predict(X) == detector.predict(X)
    search = GridSearchCV(detector, {"extractor_lr": [1e-3, 1e-5]}, cv=2).fit(X, y)
    assert search.best_estimator_.net_.module_.frames_per_step == 4


def test_the_extractor_of_a_trained_detector_is_kept_as_it_is(features):
    """Its normalization was measured anew, even where it was frozen."""
    X, y = features
    start = RCRNNDetector(gru_units=4, dense_units=8, normalization="training", max_epochs=1)
    known = start.fit(X, y).net_.module_.extractor
    frozen = RCRNNDetector(extractor=known, freeze_extractor=True, dense_units=8, max_epochs=1)
    kept = frozen.fit(2 * X[:, :90] + 3, [[(0.5, 1.5, "a")]] * len(X)).net_.module_.extractor
    for name, value in known.state_dict().items():
        assert torch.equal(kept.state_dict()[name], value), name


def test_goes_on_from_a_fitted_detector(detector, module, features):
    X, y = features
    start = clone(detector).fit(X, y)
    detector.set_params(pretrainer=FrozenEstimator(start), freeze_extractor=True).fit(X, y)
    weights = [d.net_.module_.extractor.linear.weight for d in (start, detector)]
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], module.linear.weight)


def test_does_not_go_on_from_an_extractor_of_another_size(detector, features):
    start = clone(detector).set_params(extractor=Every4(n_channels=8), max_epochs=1).fit(*features)
    detector.set_params(pretrainer=FrozenEstimator(start))
    with pytest.raises(ValueError, match=r"(?s)extractor do not fit .*size mismatch for linear"):
        detector.fit(*features)


def test_pretrained_on_presence(detector, module, features):
    X, y = features
    pretrainer = CRNNPretrainer(max_epochs=1, random_state=0)
    detector.set_params(pretrainer=pretrainer, max_epochs=1, freeze_extractor=True).fit(X, y)
    theirs = detector.pretrainer_.net_.module_.extractor.linear.weight
    assert torch.equal(theirs, detector.net_.module_.extractor.linear.weight)
    assert not torch.equal(theirs, module.linear.weight)
    assert detector.pretrainer_.transform(X).shape == (len(X), 44, 12)


class Short(Every4):
    def forward(self, features, lengths=None):
        return super().forward(features)[:, :-1]


class Pair(Every4):
    def forward(self, features, lengths=None):
        return super().forward(features), lengths


def test_what_breaks_the_contract_is_named(detector, features):
    wrong = torch.nn.Linear(64, 8)
    wrong.n_channels = 8
    with pytest.raises(TypeError, match=r"positive integer frames_per_step.*Linear is None"):
        detector.set_params(extractor=wrong).fit(*features)
    with pytest.raises(ValueError, match=r"Short gave .* \(8, 43, 12\) .* must be \(8, 44, 12\)"):
        detector.set_params(extractor=Short()).fit(*features)
    with pytest.raises(ValueError, match=r"Pair gave no Tensor for features"):
        detector.set_params(extractor=Pair()).fit(*features)
    with pytest.raises(ValueError, match=r"Short gave .* must be \("):
        CRNNPretrainer(extractor=Short(), validation_fraction=None).fit(*features)
    with pytest.raises(ValueError, match="receives the features as they are"):
        detector.set_params(extractor=Every4(), normalization="training").fit(*features)
    with pytest.raises(ValueError, match="receives the features as they are"):
        CRNNPretrainer(extractor=Every4(), normalization=5.0).fit(*features)


class Energies(torch.nn.Module):
    """A convolution over the waveform that the frames make up."""

    n_channels = 8
    frames_per_step = 2

    def __init__(self):
        super().__init__()
        self.filters = torch.nn.Conv1d(1, 8, 1024, stride=512)

    def forward(self, frames, lengths=None):
        n_clips, n_frames, n_samples = frames.shape
        samples = frames.reshape(n_clips, 1, n_frames * n_samples)
        needed = (-(-n_frames // 2) - 1) * 512 + 1024
        samples = torch.nn.functional.pad(samples, (0, max(0, needed - samples.shape[2])))
        return self.filters(samples).relu().transpose(1, 2)[:, : -(-n_frames // 2)]


def test_from_waveforms():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(6, 101, 256)).astype(np.float32)  # 16 ms at 16 kHz
    y = [[(0.3, 0.9, "a")]] * 6
    detector = RCRNNDetector(
        extractor=Energies(), frame_shift=256 / 16000, max_epochs=1, score_threshold=0.0
    )
    detector.fit(frames, y)
    offsets = [event.offset for clip in detector.predict(frames) for event in clip]
    assert max(offsets) <= 100 * 256 / 16000 + 1e-6


def test_files_and_streams_are_those_of_predict(module, tmp_path):
    X, y = make_rare_events(4, duration=4.0, random_state=0)
    pipe = make_rcrnn_pipeline(
        extractor=module,
        dense_units=16,
        anchor_sizes=(2, 8, 16),
        max_epochs=2,
        score_threshold=0.0,
        random_state=0,
    ).fit(X, y)
    samples = np.concatenate([X[i % 4] for i in range(20)])  # 80 s, two windows
    soundfile.write(tmp_path / "long.wav", samples, 44100, subtype="FLOAT")
    expected = pipe.predict([samples])[0]
    assert expected[-1].offset > 70
    from_file = detect_file(pipe, tmp_path / "long.wav")
    pipe.set_params(detector__extractor="cnn")  # for the next fit
    assert detect_file(unpacked(packed(pipe)), tmp_path / "long.wav") == from_file
    from_stream = sorted(detect_stream(pipe, np.array_split(samples, 40)))
    for found in (from_file, from_stream):
        assert [event.label for event in found] == [event.label for event in expected]
        for first, second in zip(found, expected, strict=True):
            assert first[:2] == pytest.approx(second[:2], abs=1e-3)


def test_saved_without_code(detector, module, features, tmp_path):
    X, y = features
    detector.set_params(extractor_lr=1e-4).fit(X, y)
    save(detector, tmp_path / "model")
    text = (tmp_path / "model" / "model.json").read_text()
    assert "Every4" in text
    again = load(tmp_path / "model", extractor=Every4())
    assert again.predict(X) == detector.predict(X)
    with pytest.raises(ValueError, match=r"trained with an extractor of its own, '.*Every4'"):
        load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"extractor\.linear\.bias should be"):
        load(tmp_path / "model", extractor=Every4(n_channels=13))
    # The weights of this class fit as well.
    with pytest.warns(UserWarning, match=r"Every4', and is given a Short: unless"):
        load(tmp_path / "model", extractor=Short())


class Odd(Every4):
    """Constants that no weights could be, and two layers that are one."""

    def __init__(self, frames_per_step=4):
        super().__init__()
        self.frames_per_step = frames_per_step
        self.again = self.linear
        self.register_buffer("mask", torch.full((3,), -torch.inf))
        self.register_buffer("places", torch.arange(-2, 2))


def test_constants_and_shared_weights(detector, features, tmp_path):
    """The mask passed for a training that diverges, and shared weights could not be saved."""
    X, y = features
    detector.set_params(extractor=Odd(), max_epochs=1).fit(X, y)
    save(detector, tmp_path / "model")
    assert load(tmp_path / "model", extractor=Odd()).predict(X) == detector.predict(X)
    other = Odd()
    other.mask.zero_()
    with pytest.raises(ValueError, match=r"extractor\.mask contain NaN or infinity"):
        load(tmp_path / "model", extractor=other)
    with pytest.raises(ValueError, match="of 4 frames a step, and is given one of 2: all times"):
        load(tmp_path / "model", extractor=Odd(2))


def test_a_model_of_the_package_takes_no_other_extractor(fitted, module, tmp_path):
    save(fitted, tmp_path / "model")
    with pytest.raises(ValueError, match="has an extractor of this package"):
        load(tmp_path / "model", extractor=module)
