"""A network in use: vectors beside a plain loop over chunks, the same alone or in any batch; predictions and ranking."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional as F

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import InputError, RequestError
from jukemir_like.stemjepa import checkpoint, config
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.model import Network

RATE, PATCH, STEPS = 16000, 2560, 6
CHUNK = PATCH * STEPS
LENGTHS = [1, 300, PATCH // 2 - 1, PATCH, PATCH + PATCH // 2, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2000, 2 * CHUNK + 7000, 5 * CHUNK + 4000]


def model(**frontend):
    return config.Model(
        config.Frontend(**frontend),
        config.Encoder("custom", width=32, depth=2, heads=2, chunk_seconds=0.96),
        config.Predictor(width=24, depth=2),
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Weights whose parts all differ: encoder, teacher, and the instruments."""
    torch.manual_seed(0)
    network = Network(model())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    checkpoint.save(path, network, provenance={"made": "by a test"}, sources=("bass", "drums", "other", "voice"))
    return path


@pytest.fixture(scope="module")
def net(saved):
    return StemJEPA.from_pretrained(saved, "cpu")


def clip(samples, seed=0):
    random = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tone = np.sin(2 * np.pi * random.uniform(80, 2000) * time * (1 + 0.1 * time))
    return (0.3 * tone + 0.05 * random.standard_normal(samples)).astype(np.float32)


CLIPS = [clip(length, seed) for seed, length in enumerate(LENGTHS)]


@torch.no_grad()
def by_hand(net, samples, encode):
    """Chunk after chunk, patches that lie at least half inside; each counted once."""
    sums, count = 0, 0
    for start in range(0, len(samples), CHUNK):
        piece = samples[start : start + CHUNK]
        steps = sum(1 for step in range(STEPS) if len(piece) - step * PATCH >= PATCH / 2)
        if steps == 0 and start == 0:
            steps = 1
        if steps == 0:
            continue
        padded = np.zeros(steps * PATCH, np.float32)
        padded[: len(piece)] = piece[: len(padded)]
        patches = encode(net.network.frontend(torch.from_numpy(padded)[None]))[0]
        for step in range(steps):
            sums = sums + torch.cat([patches[band * steps + step] for band in range(5)]).double()
            count += 1
    return (sums / count).float().numpy()


def test_what_the_weights_say_of_themselves(net, saved):
    assert net.sources == ("bass", "drums", "other", "voice")
    assert (net.sample_rate, net.dimension) == (RATE, 160)
    assert net.model == model()
    assert net.provenance == {"made": "by a test"}
    assert net.digest == checkpoint.header(saved).digest


@pytest.mark.parametrize("number", range(len(LENGTHS)))
@pytest.mark.parametrize("which", ["context", "target"])
def test_a_vector_is_the_mean_over_patches_that_lie_half_inside(net, number, which):
    encoder = net.network.encoder if which == "context" else net.network.teacher
    vector = net.embed(CLIPS[number], which=which)
    assert vector.dtype == np.float32
    assert vector.shape == (1, 160)
    np.testing.assert_allclose(vector[0], by_hand(net, CLIPS[number], encoder), atol=1e-5)


def hooked_states(net, log_mel):
    """Patches at every layer, as hooks see them."""
    encoder, seen = net.network.encoder, []
    hooks = [encoder.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))]
    hooks += [
        module.register_forward_hook(lambda module, inputs, output: seen.append(output)) for module in (*encoder.blocks[:-1], encoder.norm)
    ]
    encoder(log_mel)
    for hook in hooks:
        hook.remove()
    return seen


def test_vectors_of_all_layers_are_those_of_a_plain_loop_and_the_last_is_the_embedding_to_the_byte(net):
    vectors = net.embed_layers(CLIPS, [0, 1, 2])
    for number, samples in enumerate(CLIPS):
        for layer in range(3):
            expected = by_hand(net, samples, lambda log_mel, layer=layer: hooked_states(net, log_mel)[layer])
            np.testing.assert_allclose(vectors[number, layer], expected, atol=1e-5)
    assert vectors[:, 2].tobytes() == net.embed(CLIPS).tobytes()
    np.testing.assert_array_equal(net.embed_layers(CLIPS, [2, 0]), vectors[:, [2, 0]])


class Frames(list):
    """A pool that keeps its frames."""

    def add(self, frames):
        self.append(frames.numpy().copy())


def test_frames_are_time_steps_with_bands_side_by_side_each_once(net):
    pools = [{0: Frames(), 2: Frames()} for _ in CLIPS]
    net.feed(CLIPS, pools)
    for samples, of_clip, vectors in zip(CLIPS, pools, net.embed_layers(CLIPS, [0, 2]), strict=True):
        for layer, vector in zip((0, 2), vectors, strict=True):
            frames = np.concatenate(of_clip[layer])
            assert frames.shape == (max(1, int(len(samples) / PATCH + 0.5)), 160)
            np.testing.assert_allclose(frames.mean(0, dtype=np.float64), vector, atol=1e-5)
    with torch.no_grad():
        patches = hooked_states(net, net.network.frontend(torch.from_numpy(CLIPS[6])[None]))[0][0]
    expected = torch.stack([torch.cat([patches[band * STEPS + step] for band in range(5)]) for step in range(STEPS)])
    np.testing.assert_allclose(pools[6][0][0], expected, atol=1e-5)


def test_a_layer_that_there_is_not_is_refused(net):
    for layer in (-1, 3):
        with pytest.raises(RequestError, match=f"there is no layer {layer}: choose from 0 to 2"):
            net.embed_layers(CLIPS[:1], [layer])


def test_a_vector_is_the_same_alone_or_in_any_batch(net):
    alone = np.concatenate([net.embed(one) for one in CLIPS])
    random = np.random.default_rng(0)
    for _ in range(3):
        order = random.permutation(len(CLIPS))
        np.testing.assert_allclose(net.embed([CLIPS[place] for place in order]), alone[order], atol=1e-5)
    repeated = net.embed([one for one in CLIPS for _ in range(3)])
    np.testing.assert_allclose(repeated, np.repeat(alone, 3, axis=0), atol=1e-5)


def test_silence_behind_a_clip_counts_only_where_it_is_part_of_the_clip(net):
    short = CLIPS[4]
    longer = np.concatenate([short, np.zeros(CHUNK, np.float32)])
    assert np.abs(net.embed(short) - net.embed(longer)).max() > 1e-2
    with_less_than_half_a_patch = np.concatenate([CLIPS[3], np.zeros(PATCH // 2 - 1, np.float32)])
    np.testing.assert_allclose(net.embed(with_less_than_half_a_patch), net.embed(CLIPS[3]), atol=1e-6)


def test_silence_and_no_clips_at_all_have_vectors(net):
    assert np.isfinite(net.embed(np.zeros(CHUNK + 100, np.float32))).all()
    assert net.embed([]).shape == (0, 160)


def test_a_frame_longer_than_a_patch_has_enough_to_reflect():
    settings = config.Model(
        config.Frontend(n_fft=1024),
        config.Encoder("custom", 32, 1, 2, patch_frames=2, chunk_seconds=0.96),
        config.Predictor(width=24, depth=1),
    )
    net = StemJEPA.untrained(settings, "cpu")
    one, two = clip(300), clip(15360 + 320, 1)
    np.testing.assert_allclose(net.embed([one, two]), np.concatenate([net.embed(one), net.embed(two)]), atol=1e-5)


def test_files_arrays_and_rates_agree(net, tmp_path):
    samples = clip(3 * CHUNK)
    soundfile.write(tmp_path / "a.wav", np.stack([samples, samples], 1), RATE, subtype="FLOAT")
    expected = net.embed(samples)
    for source in (tmp_path / "a.wav", str(tmp_path / "a.wav"), samples.astype(np.float64)):
        np.testing.assert_allclose(net.embed(source), expected, atol=1e-5)
    np.testing.assert_allclose(net.embed([tmp_path / "a.wav", samples]), np.repeat(expected, 2, axis=0), atol=1e-5)
    high = clip(48000)  # three seconds at 16 kHz is one at 48 kHz
    soundfile.write(tmp_path / "high.wav", high, 48000, subtype="FLOAT")
    np.testing.assert_allclose(net.embed(high, sample_rate=48000), net.embed(tmp_path / "high.wav"), atol=1e-5)
    assert np.abs(net.embed(high, sample_rate=48000) - net.embed(high)).max() > 1e-2


def test_bfloat16_is_within_a_hundredth(net, saved):
    fast = StemJEPA.from_pretrained(saved, "cpu", precision="bf16").embed(CLIPS)
    exact = net.embed(CLIPS)
    difference = np.linalg.norm(fast - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 0 < difference.max() < 1e-2


@pytest.mark.parametrize("instrument", [0, 3])
def test_a_prediction_is_the_predictors_mean_over_time(net, instrument):
    def encode(log_mel):
        return net.network.predictor(net.network.encoder(log_mel), torch.tensor([instrument]))

    for number in (2, 6, 9):
        predicted = net.predict(CLIPS[number], net.sources[instrument])
        np.testing.assert_allclose(predicted[0], by_hand(net, CLIPS[number], encode), atol=1e-5)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_mix_that_is_encoded_once_has_the_same_predictions_to_the_bit(saved, precision):
    net = StemJEPA.from_pretrained(saved, "cpu", precision)
    for samples in (*CLIPS, clip(20 * CHUNK + 3 * PATCH)):  # of several batches
        encoded = net.encode(samples)
        for name in net.sources:
            assert np.array_equal(net.predict_from(encoded, name), net.predict(samples, name)[0])
    with pytest.raises(RequestError, match="flute"):
        net.predict_from(encoded, "flute")
    with pytest.raises(InputError, match="holds no samples"):
        net.encode(np.zeros(0, np.float32))


def test_mixes_may_lack_different_instruments(net):
    together = net.predict([CLIPS[9], CLIPS[10], CLIPS[6]], ["voice", "bass", "drums"])
    alone = [net.predict(CLIPS[number], name)[0] for number, name in ((9, "voice"), (10, "bass"), (6, "drums"))]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(net.predict(CLIPS[9], "voice") - net.predict(CLIPS[9], "bass")).max() > 1e-3
    with pytest.raises(RequestError, match="2 instruments for 3 mixes"):
        net.predict(CLIPS[:3], ["voice", "bass"])


def test_ranking_is_by_the_cosine_of_layer_normalised_vectors(net):
    query = torch.from_numpy(net.predict(CLIPS[9], "drums"))
    candidates = torch.from_numpy(net.embed(CLIPS, which="target"))
    scores = F.cosine_similarity(F.layer_norm(query, (160,)), F.layer_norm(candidates, (160,))).numpy()
    best = np.argsort(-scores)
    ranked = net.rank(CLIPS, CLIPS[9], "drums")
    assert [name for name, _ in ranked] == best.tolist()
    np.testing.assert_allclose([score for _, score in ranked], scores[best], atol=1e-5)
    of_vectors = net.rank(candidates.numpy(), CLIPS[9], "drums", top=3)
    assert [name for name, _ in of_vectors] == [name for name, _ in ranked[:3]]
    assert [score for _, score in of_vectors] == pytest.approx([score for _, score in ranked[:3]])
    named = {f"stem {number}": vector for number, vector in enumerate(candidates.numpy())}
    assert [name for name, _ in net.rank(named, CLIPS[9], "drums", top=2)] == [f"stem {number}" for number in best[:2]]


def test_a_folder_is_ranked_by_relative_paths_and_files_by_their_paths(net, tmp_path):
    for number in (5, 8, 9):
        (tmp_path / "sub").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "sub" / f"{number}.wav", CLIPS[number], RATE, subtype="FLOAT")
    expected = net.rank([CLIPS[5], CLIPS[8], CLIPS[9]], CLIPS[10], "bass")
    by_folder = net.rank(tmp_path, CLIPS[10], "bass")
    assert [name for name, _ in by_folder] == [f"sub/{(5, 8, 9)[number]}.wav" for number, _ in expected]
    np.testing.assert_allclose([score for _, score in by_folder], [score for _, score in expected], atol=1e-5)
    files = sorted(tmp_path.rglob("*.wav"))
    assert {name for name, _ in net.rank(files, CLIPS[10], "bass")} == {str(path) for path in files}


def test_libraries_and_instruments_that_are_none_are_refused(net, tmp_path):
    for call in (lambda: net.predict(CLIPS[6], "choir"), lambda: net.rank(CLIPS, CLIPS[6], "choir")):
        with pytest.raises(
            RequestError, match=r"^unknown instrument 'choir': these weights know bass, drums, other, voice \(did you mean voice\?\)$"
        ):
            call()
    for library in (tmp_path, [], {}, np.zeros((0, 160), np.float32)):
        with pytest.raises(RequestError, match="the library is empty"):
            net.rank(library, CLIPS[6], "bass")
    with pytest.raises(RequestError, match="is not a folder"):
        net.rank(tmp_path / "no", CLIPS[6], "bass")
    with pytest.raises(RequestError, match=r"of shape \(2, 5\), these weights need \(stems, 160\)"):
        net.rank(np.zeros((2, 5), np.float32), CLIPS[6], "bass")
    with pytest.raises(RequestError, match="choose context or target"):
        net.embed(CLIPS[6], which="both")


def test_devices_and_precisions_that_are_none_are_refused(saved):
    with pytest.raises(RequestError, match="precision '16': choose one of 32, bf16"):
        StemJEPA.from_pretrained(saved, "cpu", precision="16")
    if not torch.cuda.is_available():
        with pytest.raises(RequestError, match="there is no GPU"):
            StemJEPA.from_pretrained(saved, "cuda")


def test_weights_are_found_by_name_in_a_cache(saved, tmp_path):
    path = Cache(tmp_path).checkpoint("mine")
    path.parent.mkdir()
    path.write_bytes(saved.read_bytes())
    assert StemJEPA.from_pretrained("mine", "cpu", cache=Cache(tmp_path)).digest == checkpoint.header(saved).digest


def test_untrained_weights_are_those_of_the_seed_and_leave_the_random_state_alone():
    torch.manual_seed(7)
    expected = Network(model()).encoder.state_dict()
    state = torch.get_rng_state()
    made = StemJEPA.untrained(model(), "cpu", seed=7).network.encoder.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(made[key], tensor) for key, tensor in expected.items())
    other = StemJEPA.untrained(model(), "cpu", seed=8).network.encoder.state_dict()
    assert not torch.equal(other["blocks.0.attn.qkv.weight"], expected["blocks.0.attn.qkv.weight"])


@pytest.mark.slow
def test_an_hour_needs_no_more_memory_than_a_minute_beside_its_samples(saved):
    script = """
import resource, sys
import numpy as np
from jukemir_like.stemjepa.inference import StemJEPA
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
net = StemJEPA.from_pretrained(sys.argv[1] + "/w.safetensors", "cpu")
hour = np.random.default_rng(0).standard_normal(16000 * 3600, dtype=np.float32)
net.embed(hour[: 16000 * 60])
before = peak()
assert net.embed(hour).shape == (1, 160)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script, str(saved.parent)], capture_output=True, text=True, check=True)
    assert (
        float(done.stdout) < 120
    )  # MB; finding that it is finite takes 55 of them, its log-mel alone would take 110, its tokens 70 a layer
