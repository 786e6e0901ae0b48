"""A small folder of stems, and settings of a run on it that takes a second."""

import numpy as np
import pytest
import soundfile

from jukemir_like.stemjepa.settings import Training


@pytest.fixture(scope="session")
def stems_folder(tmp_path_factory):
    """Eight tracks of four channels, 2 s each: a tone of the track's own in every stem, in another octave."""
    folder = tmp_path_factory.mktemp("stems")
    time = np.arange(2 * 16000) / 16000
    for track in range(8):
        random = np.random.default_rng(track)
        stems = [
            np.sin(2 * np.pi * 110 * 2 ** (stem + track / 8) * time) * (1 + np.sin(2 * np.pi * (1 + track) * time)) for stem in range(4)
        ]
        samples = 0.1 * np.array(stems).T + 0.003 * random.standard_normal((len(time), 4))
        soundfile.write(folder / f"track{track}.wav", samples, 16000)
    return folder


@pytest.fixture
def overrides(stems_folder):
    """A run as options by dotted name."""
    return {
        "data.data_path": str(stems_folder),
        "data.valid_fraction": 0.25,
        "data.statistics": False,
        "data.dataloader.batch_size": 4,
        "data.dataloader.num_workers": 0,
        "model.encoder.size": "custom",
        "model.encoder.width": 16,
        "model.encoder.depth": 1,
        "model.encoder.heads": 2,
        "model.encoder.chunk_seconds": 0.64,
        "model.predictor.width": 16,
        "model.predictor.depth": 1,
        "objective.contrastive_steps": 2,
        "objective.contrastive_weight": 0.5,
        "objective.tau_half_life_steps": 3.0,
        "optimiser.lr": 0.1,
        "optimiser.warmup_steps": 2,
        "trainer.accelerator": "cpu",
        "trainer.max_steps": 5,
        "trainer.threads": 1,
        "trainer.log_every_steps": 1,
        "trainer.valid_every_steps": 5,
        "trainer.checkpoint_every_steps": 1,
    }


@pytest.fixture
def settings(overrides):
    """A function: ``settings({"trainer.max_steps": 3})`` → the run with these changes."""

    def build(changes=None, **sections):
        values = dict(sections)
        for path, value in {**overrides, **(changes or {})}.items():
            *parents, name = path.split(".")
            section = values
            for parent in parents:
                section = section.setdefault(parent, {})
            section[name] = value
        return Training.from_dict(values)

    return build


@pytest.fixture
def arguments(overrides):
    """A function: the run with changes, as arguments of a command."""

    def build(changes=None):
        return [f"{path}={value}" for path, value in {**overrides, **(changes or {})}.items()]

    return build
