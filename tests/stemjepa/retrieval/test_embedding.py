import numpy as np
import pytest
import torch

from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval.embedding import embed_tracks, evaluation_mode, merge

CHUNK = 10240  # samples, of the model in conftest


@pytest.fixture
def tracks(stems):
    return [stems(number, seconds) for number, seconds in enumerate([1.5, 0.64, 2.0, 0.3])]


def test_vectors_are_those_of_the_mix_without_the_stem_and_of_the_stem(network, model, tracks):
    jepa = StemJEPA(checkpoint.Checkpoint(network, model, ("bass", "drums", "other", "vocals"), {}, ""))
    embedded = embed_tracks(network, tracks, batch_size=5).tracks
    for track, stems in enumerate(tracks):
        for number, name in enumerate(jepa.sources):
            mix = sum(stems[other] for other in range(4) if other != number)
            np.testing.assert_allclose(embedded.queries[track, number], jepa.predict(mix, name)[0], atol=1e-5)
            np.testing.assert_allclose(embedded.candidates[track, number], jepa.embed(stems[number], which="target")[0], atol=1e-5)
    assert embedded.has_query.all()
    assert embedded.has_candidate.all()
    assert list(embedded.track) == [0, 1, 2, 3]


def test_a_chunk_s_vector_is_the_mean_of_its_patches_over_time_by_the_right_network(network, model, tracks):
    segments = embed_tracks(network, tracks, batch_size=3).segments
    assert list(segments.track) == [0, 0, 1, 2, 2, 2]  # whole chunks of 0.64 s in 1.5, 0.64, 2.0 (rounded to patches: 2.08) and 0.3 s
    stems = torch.from_numpy(tracks[2][:, CHUNK : 2 * CHUNK])
    for number in range(4):
        others = torch.stack([stems[other] for other in range(4) if other != number]).sum(0)
        with torch.no_grad():
            log_mels = network.frontend(torch.stack([others, stems[number]]))
            patches = network.encoder(log_mels[:1])
            query = network.predictor(patches, torch.tensor([number]))
            candidate = network.teacher(log_mels[1:])
        for found, expected in ((segments.queries, query), (segments.candidates, candidate)):
            grid = expected[0].reshape(model.bands, model.steps, -1).mean(1).flatten()
            np.testing.assert_allclose(found[4, number], grid.numpy(), atol=1e-5)


def test_whole_tracks_of_whole_chunks_are_the_mean_of_their_chunks(network, stems):
    embedded = embed_tracks(network, [stems(0, 3 * 0.64)])
    np.testing.assert_allclose(embedded.tracks.queries[0], embedded.segments.queries.mean(0), atol=1e-5)
    np.testing.assert_allclose(embedded.tracks.candidates[0], embedded.segments.candidates.mean(0), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_change_nothing(network, tracks, batch_size):
    plain, other = embed_tracks(network, tracks, batch_size=16), embed_tracks(network, iter(tracks), batch_size=batch_size)
    for one, two in ((plain.tracks, other.tracks), (plain.segments, other.segments)):
        np.testing.assert_allclose(one.queries, two.queries, atol=1e-5)
        np.testing.assert_allclose(one.candidates, two.candidates, atol=1e-5)


def test_silent_stems_are_neither_asked_for_nor_offered(network, stems):
    silent_stem, alone = stems(0), stems(1)
    silent_stem[2] *= 1e-6
    alone[1:] = 0
    nothing = np.zeros_like(alone)
    found = embed_tracks(network, [silent_stem, alone, nothing])
    assert found.tracks.has_candidate.tolist() == [[True, True, False, True], [True, False, False, False], [False] * 4]
    assert found.tracks.has_query.tolist() == [[True, True, False, True], [False] * 4, [False] * 4]
    assert not found.tracks.candidates[0, 2].any()
    assert found.tracks.candidates[0, 1].any()


def test_a_stem_that_rests_in_a_chunk_is_silent_there_however_loud_the_track(network, stems):
    track = stems(0, 2 * 0.64)
    track[1, :CHUNK] *= 5e-3  # below −40 dB of its peak
    track[3] *= 2e-2  # a quiet stem plays
    found = embed_tracks(network, [track])
    assert found.tracks.has_query.all()
    assert found.segments.has_candidate.tolist() == [[True, False, True, True], [True] * 4]
    assert found.segments.has_query.tolist() == [[True, False, True, True], [True] * 4]


def test_segments_can_be_left_out_and_there_may_be_none(network, stems):
    assert embed_tracks(network, [stems(0)], segments=False).segments is None
    short = embed_tracks(network, [stems(0, 0.2)])
    assert short.segments.queries.shape == (0, 4, 64)
    assert short.tracks.queries.any()
    empty = embed_tracks(network, [])
    assert empty.tracks.queries.shape == (0, 4, 64)
    assert empty.segments.has_query.shape == (0, 4)


def test_another_number_of_stems_is_refused(network, stems):
    with pytest.raises(ValueError, match="4 stems"):
        embed_tracks(network, [stems(0)[:3]])


def test_the_network_trains_on_as_before(network, tracks):
    network.train()
    network.teacher.eval()
    modes = [module.training for module in network.modules()]
    during = []
    network.predictor.register_forward_pre_hook(lambda module, _: during.append(module.training))
    embed_tracks(network, tracks[:1])
    assert set(during) == {False}
    assert [module.training for module in network.modules()] == modes
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_mode_is_given_back_after_an_error(network):
    network.train()
    with pytest.raises(RuntimeError), evaluation_mode(network):
        raise RuntimeError
    assert network.training
    assert torch.is_grad_enabled()


def test_bf16_is_close_and_is_used(network, tracks):
    plain, rough = (embed_tracks(network, tracks, bf16=bf16).tracks.queries for bf16 in (False, True))
    with torch.autocast("cpu", torch.bfloat16):
        under = embed_tracks(network, tracks).tracks.queries
    assert np.array_equal(rough, under)
    assert not np.array_equal(rough, plain)
    assert np.linalg.norm(rough - plain) < 0.03 * np.linalg.norm(plain)


def test_validation_under_autocast_leaves_the_gradients_of_the_next_step_alone(network, tracks):
    audio = torch.from_numpy(tracks[1][:1])
    with torch.autocast("cpu", torch.bfloat16):
        embed_tracks(network, tracks[:1])
        network(audio, audio, torch.tensor([0])).prediction.float().square().sum().backward()
    trained = [*network.encoder.parameters(), *network.predictor.parameters()]
    missing = [parameter.shape for parameter in trained if parameter.requires_grad and parameter.grad is None]
    assert not missing


@pytest.mark.parametrize("parts", [[[0, 2], [1, 3]], [[3], [], [1, 0, 2]], [[0, 1, 2, 3]], [[9, 4], [7]]])
def test_tracks_embedded_in_parts_are_those_embedded_together(network, tracks, parts):
    """In the order of their numbers, which may leave some out."""
    of_number = dict(zip(sorted(number for part in parts for number in part), tracks, strict=False))
    merged = merge([(part, embed_tracks(network, [of_number[number] for number in part], batch_size=1)) for part in parts])
    together = embed_tracks(network, list(of_number.values()), batch_size=1)
    for found, expected in ((merged.tracks, together.tracks), (merged.segments, together.segments)):
        for name, values in vars(expected).items():
            assert np.array_equal(getattr(found, name), values), name
