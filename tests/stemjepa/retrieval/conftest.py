"""A network small enough to test with, and folders of stems."""

import numpy as np
import pytest
import soundfile
import torch

from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.model import Network

RATE = 16000


@pytest.fixture(scope="session")
def model():
    """Chunks of 0.64 s in patches of 40 bands by 16 frames (0.16 s): 2 bands, 4 steps, vectors of 64."""
    shape = {"size": "custom", "width": 32, "depth": 1, "heads": 2}
    patches = {"patch_mels": 40, "patch_frames": 16, "chunk_seconds": 0.64}
    return config.Model.from_dict({"encoder": shape | patches, "predictor": {"width": 16, "depth": 1}})


@pytest.fixture
def network(model):
    torch.manual_seed(0)
    made = Network(model).eval()
    with torch.no_grad():  # a teacher that is not the student: a query that went through it would be seen
        for parameter in made.teacher.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made


@pytest.fixture
def weights(network, tmp_path):
    path = tmp_path / "weights" / "small.safetensors"
    checkpoint.save(path, network, provenance={"steps": 0})
    return path


@pytest.fixture(scope="session")
def stems():
    """``stems(seed, seconds)``: four stems that sound, float32 of shape (4, samples)."""

    def make(seed, seconds=1.5, rate=RATE):
        random = np.random.default_rng(seed)
        time = np.arange(round(seconds * rate)) / rate
        tones = [np.sin(2 * np.pi * 55 * 2 ** (random.uniform(0, 1) + stem) * time) for stem in range(4)]
        return (0.2 * np.array(tones) + 0.02 * random.standard_normal((4, len(time)))).astype(np.float32)

    return make


@pytest.fixture
def songs(tmp_path, stems):
    """A folder of six tracks, four channels each, at another rate than the model's."""
    for number in range(6):
        path = tmp_path / "songs" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, stems(number, rate=22050).T, 22050, subtype="PCM_16")
    return tmp_path / "songs"


@pytest.fixture
def library(tmp_path, write_audio):
    """A folder of four files, beside a mix, ``mix.wav``."""
    for number in range(4):
        write_audio(tmp_path / "library" / f"{number}.wav", seconds=1.5, seed=number)
    write_audio(tmp_path / "mix.wav", seconds=2, seed=9)
    return tmp_path / "library"


@pytest.fixture
def common(weights, tmp_path):
    """Options of the commands."""
    return ["--weights", str(weights), "--device", "cpu", "--threads", "1", "--cache", str(tmp_path / "cache")]
