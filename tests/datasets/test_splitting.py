"""Splits of source material by recording and by source."""

from __future__ import annotations

import pytest
import yaml

from sklearn_rcrnn.datasets import (
    split_by_recording,
    split_by_source,
)


class TestSplitting:
    @pytest.fixture
    def root(self, tmp_path):
        setup = tmp_path / "data" / "source_data" / "cv_setup"
        setup.mkdir(parents=True)
        for name in ("events", "bgs"):
            (setup.parent / name).mkdir()
        events = {
            label: [
                {"audio_filename": f"{label}{r}_{i}.wav", "segment": [0.0, 1.0]}
                for r in range(10)
                for i in range(3)
            ]
            for label in ("cat", "dog")
        }
        backgrounds = [
            {"filepath": f"audio/b{r}_{t}_{t + 30}.wav", "classname": "home", "classid": 1}
            for r in range(8)
            for t in (0, 30)
        ]
        (setup / "events_devtrain.yaml").write_text(yaml.safe_dump(events))
        (setup / "bgs_devtrain.yaml").write_text(yaml.safe_dump(backgrounds))
        return tmp_path / "data"

    def test_no_recording_in_both_parts_and_nothing_lost(self, root, tmp_path):
        split = split_by_recording(root, tmp_path / "split", fraction=0.2, random_state=3)
        setup = split / "source_data" / "cv_setup"
        parts = [
            {
                e["audio_filename"]
                for own in yaml.safe_load((setup / f"events_{part}.yaml").read_text()).values()
                for e in own
            }
            for part in ("fit", "hold")
        ]
        assert [len(part) for part in parts] == [48, 12]
        recordings = [{name.rsplit("_", 1)[0] for name in part} for part in parts]
        assert not recordings[0] & recordings[1]
        held = yaml.safe_load((setup / "bgs_hold.yaml").read_text())
        assert len(held) == 4
        assert len({entry["filepath"].split("_")[0] for entry in held}) == 2

    def test_both_parts_have_backgrounds(self, root, tmp_path):
        """With a large fraction of few recordings, the first part had none."""
        backgrounds = [{"filepath": f"b{r}_0_30.wav", "classname": "home"} for r in range(2)]
        setup = root / "source_data" / "cv_setup"
        (setup / "bgs_devtrain.yaml").write_text(yaml.safe_dump(backgrounds))
        split = split_by_recording(root, tmp_path / "split", fraction=0.8)
        for part in ("fit", "hold"):
            written = (split / "source_data" / "cv_setup" / f"bgs_{part}.yaml").read_text()
            assert len(yaml.safe_load(written)) == 1

    def test_the_same_seed_splits_alike(self, root, tmp_path):
        texts = [
            (
                split_by_recording(root, tmp_path / str(i), random_state=seed)
                / "source_data/cv_setup/events_hold.yaml"
            ).read_text()
            for i, seed in enumerate((0, 0, 1))
        ]
        assert texts[0] == texts[1] != texts[2]

    def write(self, root, **events):
        setup = root / "source_data" / "cv_setup"
        listed = {
            label: [{"audio_filename": name, "segment": [0.0, 1.0]} for name in names]
            for label, names in events.items()
        }
        (setup / "events_devtrain.yaml").write_text(yaml.safe_dump(listed))

    def read(self, split, part):
        text = (split / "source_data" / "cv_setup" / f"events_{part}.yaml").read_text()
        return {
            label: {entry["audio_filename"] for entry in own}
            for label, own in yaml.safe_load(text).items()
        }

    def test_a_recording_with_events_of_two_classes_is_in_one_part(self, root, tmp_path):
        """It could be heard in the first part with one of them, and be held out with the other."""
        names = [f"r{i}_0.wav" for i in range(10)]
        self.write(root, cat=names, dog=names[:5])
        for seed in range(5):
            split = split_by_recording(root, tmp_path / str(seed), fraction=0.4, random_state=seed)
            fit, hold = (self.read(split, part) for part in ("fit", "hold"))
            assert not (fit["cat"] | fit["dog"]) & (hold["cat"] | hold["dog"])
            assert len(hold["cat"]) >= 4
            assert len(hold["dog"]) >= 2

    def test_the_only_recording_of_a_class_can_be_learnt_from(self, root, tmp_path):
        """It was held out, and the first part had no such class."""
        self.write(root, cat=["one_0.wav", "one_1.wav"], dog=[f"r{i}_0.wav" for i in range(4)])
        with pytest.warns(UserWarning, match="The only recording of cat is in the first part"):
            split = split_by_recording(root, tmp_path / "split")
        assert self.read(split, "fit")["cat"] == {"one_0.wav", "one_1.wav"}
        assert list(self.read(split, "hold")) == ["dog"]

    def test_nothing_left_of_a_class_or_of_the_backgrounds(self, root, tmp_path):
        names = [f"r{i}_0.wav" for i in range(4)]
        self.write(root, cat=names, dog=names[:2])
        with pytest.raises(ValueError, match="All recordings of dog would be in the second part"):
            split_by_recording(root, tmp_path / "split", fraction=0.75, random_state=3)
        setup = root / "source_data" / "cv_setup"
        (setup / "bgs_devtrain.yaml").write_text("[{filepath: audio/b_0_30.wav, classname: home}]")
        with pytest.raises(ValueError, match="Each part needs backgrounds of a recording"):
            split_by_recording(root, tmp_path / "split")

    def test_a_folder_with_other_audio(self, root, tmp_path):
        (tmp_path / "split" / "source_data" / "events").mkdir(parents=True)
        with pytest.raises(ValueError, match="has other audio than"):
            split_by_recording(root, tmp_path / "split")

    def test_wrong_fraction(self, root, tmp_path):
        with pytest.raises(ValueError, match="fraction must be"):
            split_by_recording(root, tmp_path / "split", fraction=1.0)


class TestSplitBySource:
    @pytest.fixture
    def root(self, tmp_path):
        """Cats of the sources one and two, dogs of two and three, backgrounds of one and four."""
        setup = tmp_path / "data" / "source_data" / "cv_setup"
        setup.mkdir(parents=True)
        for name in ("events", "bgs"):
            (setup.parent / name).mkdir()
        origin = {}
        events = {}
        for label, sources in (("cat", ("one", "two")), ("dog", ("two", "three"))):
            names = [(source, f"{source}{r}_0.wav") for source in sources for r in range(3)]
            events[label] = [{"audio_filename": n, "segment": [0.0, 1.0]} for _, n in names]
            origin |= {f"events/{label}/{name}": source for source, name in names}
        backgrounds = [
            (source, f"{source}{r}_0_30.wav") for source in ("one", "four") for r in "ab"
        ]
        origin |= {f"bgs/{name}": source for source, name in backgrounds}
        # All pieces of a recording stand in one row, as in the corpus.
        origin = {name.replace("_0_30.wav", "*"): source for name, source in origin.items()}
        rows = "".join(f"{file},{source}\n" for file, source in origin.items())
        (setup.parents[1] / "provenance.csv").write_text("file,repository\n" + rows)
        (setup / "events_devtrain2.yaml").write_text(yaml.safe_dump(events))
        (setup / "bgs_devtrain2.yaml").write_text(
            yaml.safe_dump(
                [{"filepath": n, "classname": "c", "classid": 1} for _, n in backgrounds]
            )
        )
        return tmp_path / "data"

    def parts(self, split):
        setup = split / "source_data" / "cv_setup"
        for part in ("heard", "unheard"):
            events = yaml.safe_load((setup / f"events_{part}.yaml").read_text())
            backgrounds = yaml.safe_load((setup / f"bgs_{part}.yaml").read_text())
            yield (
                {label: {e["audio_filename"] for e in own} for label, own in events.items()},
                {entry["filepath"] for entry in backgrounds},
            )

    def test_nothing_of_a_source_is_in_the_first_part(self, root, tmp_path):
        heard, unheard = self.parts(split_by_source(root, tmp_path / "split", "one"))
        cats = {f"one{r}_0.wav" for r in range(3)}
        assert unheard[0] == {"cat": cats}
        assert heard[0]["cat"] == {f"two{r}_0.wav" for r in range(3)}
        assert len(heard[0]["dog"]) == 6
        # Those of the source, and one of the others to mix with.
        assert {f"one{r}_0_30.wav" for r in "ab"} < unheard[1]
        assert len(unheard[1]) == 3
        assert not heard[1] & unheard[1]

    def test_a_source_that_is_not_there_or_the_only_one(self, root, tmp_path):
        with pytest.raises(ValueError, match=r"no events of the sources \['four'\]"):
            split_by_source(root, tmp_path / "split", ["one", "four"])
        with pytest.raises(ValueError, match=r"nothing left to learn \['cat'\]"):
            split_by_source(root, tmp_path / "split", ["one", "two"])

    def test_a_file_that_the_table_does_not_have(self, root, tmp_path):
        table = root / "provenance.csv"
        table.write_text(table.read_text().replace("bgs/onea*,one\n", ""))
        with pytest.raises(ValueError, match=r"does not say where bgs/onea_0_30\.wav came from"):
            split_by_source(root, tmp_path / "split", "one")

    def test_without_a_table_of_sources(self, root, tmp_path):
        (root / "provenance.csv").unlink()
        with pytest.raises(FileNotFoundError, match=r"No provenance\.csv"):
            split_by_source(root, tmp_path / "split", "one")
