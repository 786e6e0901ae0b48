"""Encoders of others beside their original programs, over a folder of files, as whole processes.

An original is run by an interpreter of its own, in which it is installed; an environment variable names it. One that is not there, or whose
weights are not in the cache, is left out, and the page says so. To add one, append to :data:`REFERENCES`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import timing
from jukemir_like.core.cache import Cache
from jukemir_like.encoders import card as cards
from jukemir_like.encoders.weights import converted_file

FILES, SECONDS, SAMPLE_RATE = 8, 30, 44100
RUNS = 3

# Called as a user would, file by file. How much its network alone takes is seen in the calls of its session, of which the longest, the
# first, is not counted; the arguments are those that Reference says.
MUSICNN = """
import os
os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
import json, sys, time
from pathlib import Path
import numpy, tensorflow
from musicnn.extractor import extractor
folder, output, figures, _ = map(Path, sys.argv[1:])
seconds, run = [], tensorflow.compat.v1.Session.run
def timed(*arguments, **options):
    started = time.process_time()
    result = run(*arguments, **options)
    seconds.append(time.process_time() - started)
    return result
tensorflow.compat.v1.Session.run = timed
output.mkdir()
network = []
for path in sorted(folder.glob("*.wav")):
    seconds.clear()
    _, _, features = extractor(str(path), model="MSD_musicnn", extract_features=True)
    vector = numpy.concatenate([features["mean_pool"].mean(axis=0), features["max_pool"].mean(axis=0)])
    numpy.save(output / f"{path.stem}.npy", vector.astype(numpy.float32))
    patches = len(features["mean_pool"])
    network.append(sum(sorted(seconds)[:patches - 1]) / (patches - 1) * patches)
figures.write_text(json.dumps(network))
"""

# Keras 1 on Theano, for which it was published, can no longer be installed: the same layers in Keras 2 on TensorFlow, with the same file of
# weights. All files are one batch, as there; the network has the spectrogram in it.
CHOI = """
import os
os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
import sys
from pathlib import Path
import h5py, librosa, numpy, tensorflow, tf_keras
from tf_keras import layers
folder, output, figures, weights = map(Path, sys.argv[1:])
file = h5py.File(weights / "weights_layer4_theano.hdf5")
blocks, front = file["ConvBNEluDr"], file["melgram"]
samples = layers.Input((348000, 1))
parts = []
for name in ("param_0", "param_1"):
    kernel = front[name][()][::-1, :, 0, :]
    part = layers.Conv1D(257, 512, strides=256, use_bias=False, weights=[kernel])(layers.ZeroPadding1D(256)(samples))
    parts.append(layers.Lambda(tensorflow.square)(part))
power = layers.Dense(96, use_bias=False, weights=[front["param_2"][()]])(layers.add(parts))
def decibels(mel):
    decibels = 10 * tensorflow.math.log(tensorflow.maximum(mel, 1e-10)) / numpy.log(10)
    decibels = tensorflow.maximum(decibels - tensorflow.reduce_max(decibels), -80)
    return tensorflow.transpose(decibels, (0, 2, 1))[..., None]
maps, means = layers.Lambda(decibels)(power), []
for index, pool in enumerate(((2, 4), (3, 4), (2, 5), (2, 4), (4, 4)), start=1):
    kernel, bias = (blocks[f"convolution2d_{index}_{name}"][()] for name in "Wb")
    kernel = kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
    scale, shift = (blocks[f"batchnormalization_{index}_{name}"][()] for name in ("gamma", "beta"))
    maps = layers.Conv2D(32, 3, padding="same", weights=[kernel, bias])(maps)
    maps = layers.BatchNormalization(epsilon=1e-3, weights=[scale, shift, 0 * scale, 0 * scale + 1])(maps, training=True)
    maps = layers.MaxPooling2D(pool)(layers.ELU()(maps))
    means.append(layers.GlobalAveragePooling2D()(maps))
model = tf_keras.Model(samples, layers.concatenate(means))
output.mkdir()
paths = sorted(folder.glob("*.wav"))
clips = numpy.stack([librosa.load(path, sr=12000)[0][:348000, None] for path in paths])
for path, vector in zip(paths, model.predict(clips, batch_size=len(paths), verbose=0)):
    numpy.save(output / f"{path.stem}.npy", vector)
figures.write_text("[]")
"""


@dataclass(frozen=True)
class Reference:
    """An original program.

    Args:
        encoder: whose vectors it computes.
        title: the program and what it runs on.
        variable: environment variable that names the interpreter.
        script: what the interpreter runs, with four paths: of the files, of the vectors, of a JSON list of the processor's seconds that the
            network alone took for each file (empty: not measured), and of the folder of weights in the cache.
    """

    encoder: str
    title: str
    variable: str
    script: str

    @property
    def problem(self) -> str | None:
        """Why it cannot be run; None: it can."""
        python = os.environ.get(self.variable)
        if not python:
            return f"${self.variable}, the interpreter that has it, is not set"
        if not converted_file(cards.read(self.encoder), Cache.default()).exists():
            return f"its weights are not in the cache (`jukemir-like download {self.encoder}`)"
        return None


REFERENCES = (
    Reference("musicnn-msd", "musicnn 0.1.0 with TensorFlow", "JUKEMIR_LIKE_BENCH_MUSICNN", MUSICNN),
    Reference("choi", "the same layers in Keras 2 with TensorFlow", "JUKEMIR_LIKE_BENCH_KERAS", CHOI),
)


def section() -> str:
    """Markdown of the encoders' figures."""
    lines = [
        "## Encoders",
        "",
        "| encoder | original | cores | original, s | here, s | ratio | original, MB | here, MB | network: original, s | here, s | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    absent = []
    with tempfile.TemporaryDirectory() as folder:
        songs = _songs(Path(folder) / "wavs")
        for reference in REFERENCES:
            if reference.problem:
                absent.append(f"{reference.title} ({reference.encoder}) was not run: {reference.problem}.")
            else:
                lines += [_row(reference, songs, Path(folder), cores) for cores in dict.fromkeys((1, len(os.sched_getaffinity(0))))]
    lines += [
        "",
        f"{FILES} files of {SECONDS} s at 44.1 kHz, whole processes: imports, decoding, resampling and saving included. Medians of "
        f"{RUNS} runs in turn; an original has its default threads, and here there is one worker per core. MB: peak of one process. "
        "*Network*: processor seconds for one clip, without reading it and without the first call; here with the spectrogram. "
        "choi was published for Keras 1 on Theano, which can no longer be installed.",
        *(f"\n{line}" for line in absent),
    ]
    return "\n".join(lines)


def _row(reference: Reference, songs: Path, root: Path, cores: int) -> str:
    outputs = {name: root / f"{reference.encoder}-{name}" for name in ("original", "here")}
    seconds = root / "seconds.json"
    pinned = ["taskset", "--cpu-list", ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))]
    weights = Cache.default().weights(reference.encoder)
    original = [*pinned, os.environ[reference.variable], "-c", reference.script, *map(str, (songs, outputs["original"], seconds, weights))]
    here = [*pinned, sys.executable, "-m", "jukemir_like", "extract", reference.encoder, str(songs), str(outputs["here"])]
    commands = {"original": original, "here": [*here, "--workers", str(cores)]}
    figures = timing.in_turn(commands, runs=RUNS, before=lambda name: shutil.rmtree(outputs[name], ignore_errors=True), warm_up=False)
    of_network = json.loads(seconds.read_text())
    command = [*pinned, sys.executable, "-m", "bench.encoders", reference.encoder]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as workers have
    own = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=one_thread)
    own_network = float(own.stdout)
    (theirs, ours) = (figures[name] for name in ("original", "here"))
    return (
        f"| {reference.encoder} | {reference.title} | {cores} | {theirs.seconds:.1f} | {ours.seconds:.1f} | "
        f"**{theirs.seconds / ours.seconds:.1f}** | {theirs.megabytes:.0f} | {ours.megabytes:.0f} | "
        + (f"{statistics.median(of_network):.2f} | {own_network:.2f} | " if of_network else f"– | {own_network:.2f} | ")
        + (f"**{statistics.median(of_network) / own_network:.1f}** |" if of_network else "– |")
    )


def _songs(folder: Path) -> Path:
    import numpy as np
    import soundfile

    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(FILES):
        notes = 440 * 2 ** ((random.integers(40, 72, SECONDS * 2) - 69) / 12)
        phase = 2 * np.pi * np.cumsum(np.repeat(notes, SAMPLE_RATE // 2)) / SAMPLE_RATE
        music = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 6)) + 0.01 * random.standard_normal(len(phase))
        soundfile.write(folder / f"{index:02d}.wav", 0.3 * music, SAMPLE_RATE, subtype="PCM_16")
    return folder


def _seconds_of_a_clip(name: str) -> float:
    """Processor seconds for one clip that is in memory, in a process that does nothing else."""
    from jukemir_like import audio, representations

    encoder = representations.load(name)
    with tempfile.TemporaryDirectory() as folder:
        clip = audio.load(_songs(Path(folder) / "wavs") / "00.wav", encoder.sample_rate)
    seconds = []
    for _ in range(FILES + 1):
        started = time.process_time()
        encoder([clip])
        seconds.append(time.process_time() - started)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    print(_seconds_of_a_clip(sys.argv[1]) if len(sys.argv) > 1 else section())
