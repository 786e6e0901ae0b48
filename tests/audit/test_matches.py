"""Copies are found whatever was done to them, different pieces are not; and the index finds what comparing all with all finds."""

import numpy as np
import pytest
import soxr

from jukemir_like.audit import fingerprints
from jukemir_like.audit.fingerprints import FRAMES_PER_SECOND

RATE = 22050


def of_each(items):
    return range(len(items))


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


DISTORTIONS = {
    "MP3 at 64 kbit/s": (lambda x, mp3: (mp3(x), RATE), 0.0),
    "20 dB softer": (lambda x, mp3: (0.1 * x, RATE), 0.0),
    "12 dB louder, clipped": (lambda x, mp3: (np.clip(4 * x, -1, 1), RATE), 0.0),
    "at 16 kHz": (lambda x, mp3: (soxr.resample(x, RATE, 16000), 16000), 0.0),
    "at 44.1 kHz": (lambda x, mp3: (soxr.resample(x, RATE, 44100), 44100), 0.0),
    "3 s later": (lambda x, mp3: (np.concatenate([silence(3), x]), RATE), -3.0),
    "3 s cut off": (lambda x, mp3: (x[3 * RATE + 131 :], RATE), 3.006),
    "3 s cut off, softer, MP3, 48 kHz": (lambda x, mp3: (soxr.resample(mp3(0.3 * x[3 * RATE + 57 :]), RATE, 48000), 48000), 3.003),
    "an excerpt of 4 s": (lambda x, mp3: (x[5 * RATE : 9 * RATE], RATE), 5.0),
    "with noise 20 dB below": (lambda x, mp3: (x + 0.1 * x.std() * np.random.default_rng(0).standard_normal(len(x)), RATE), 0.0),
}


@pytest.fixture(scope="module")
def band(tune, codes_of):
    """Twelve pieces of one band: samples, and codes."""
    pieces = [tune(seed) for seed in range(12)]
    return pieces, [codes_of(piece) for piece in pieces]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_copy_is_found_with_its_offset_whatever_was_done_to_it(name, band, codes_of, mp3):
    pieces, codes = band
    distort, offset = DISTORTIONS[name]
    samples, sample_rate = distort(pieces[4], mp3)
    copy = codes_of(np.asarray(samples, np.float32), sample_rate)
    (match,) = fingerprints.find_matches([*codes, copy], of_each([*codes, copy]))
    assert (match.first, match.second) == (4, 12)
    assert match.offset_seconds == pytest.approx(offset, abs=0.03)
    frames = round(offset * FRAMES_PER_SECOND)
    common = min(len(codes[4]) - max(0, frames), len(copy) - max(0, -frames))
    assert match.seconds == pytest.approx(common / FRAMES_PER_SECOND, abs=0.6)
    assert match.bit_error_rate < 0.12


def test_an_excerpt_inside_another_piece_is_found(band, tune, codes_of, mp3):
    pieces, codes = band
    other = tune(99)
    other[2 * RATE : 9 * RATE] = 0.5 * mp3(pieces[7])[4 * RATE : 11 * RATE]
    (match,) = fingerprints.find_matches([*codes, codes_of(other)], range(13))
    assert (match.first, match.second) == (7, 12)
    assert match.offset_seconds == pytest.approx(2.0, abs=0.05)
    assert match.seconds == pytest.approx(7, abs=1)


def test_different_pieces_of_one_band_are_not_paired(band, tune, codes_of):
    codes = band[1] + [codes_of(tune(seed)) for seed in range(100, 108)]
    assert fingerprints.find_matches(codes, of_each(codes)) == []


def test_silence_is_like_nothing(tune, codes_of):
    codes = [codes_of(np.concatenate([tune(seed, 3.0), silence(20)])) for seed in range(6)] + [codes_of(silence(20))] * 3
    assert fingerprints.find_matches(codes, of_each(codes)) == []


def test_pieces_of_one_recording_are_not_compared(band):
    codes = [band[1][0], band[1][1], band[1][0]]
    assert fingerprints.find_matches(codes, [5, 6, 5]) == []
    assert len(fingerprints.find_matches(codes, [5, 6, 7])) == 1


def test_nothing_and_too_little_match_nothing(band):
    short = band[1][0][: round(2.0 * FRAMES_PER_SECOND)]
    empty = np.zeros(0, np.uint32)
    assert fingerprints.find_matches([], []) == []
    assert fingerprints.find_matches([empty, empty], range(2)) == []
    assert fingerprints.find_matches([band[1][0], short, empty], range(3)) == []


def slow_find(items):
    """Every pair at every offset with an overlap of one window, every window: which pairs are alike."""
    width, found = fingerprints.WINDOW_FRAMES, set()
    for first in range(len(items)):
        for second in range(first + 1, len(items)):
            one, other = items[first], items[second]
            for offset in range(width - len(other), len(one) - width + 1):
                above, below = one[max(0, offset) :], other[max(0, -offset) :]
                length = min(len(above), len(below))
                errors = np.bitwise_count(above[:length] ^ below[:length])
                rates = np.convolve(errors, np.ones(width), "valid") / (32 * width)
                if (rates <= 0.25).any():
                    found.add((first, second))
    return found


def test_the_index_finds_what_comparing_all_with_all_finds():
    random = np.random.default_rng(1)
    codes = [random.integers(1, 2**32, 700, dtype=np.uint32) for _ in range(8)]
    for source, target, errors in ((0, 3, 0.02), (1, 6, 0.08), (2, 7, 0.4)):
        start, length = random.integers(0, 150), 500
        flips = np.packbits(random.random((length, 32)) < errors, axis=1).view(">u4")[:, 0].astype(np.uint32)
        codes[target][100 : 100 + length] = codes[source][start : start + length] ^ flips
    expected = slow_find(codes)
    assert expected == {(0, 3), (1, 6)}
    assert {(match.first, match.second) for match in fingerprints.find_matches(codes, range(8))} == expected


def test_forty_copies_hang_together(band, codes_of, mp3):
    copy = codes_of(mp3(band[0][0]))
    codes = [*band[1], *[copy.copy() for _ in range(39)]]
    linked = {0}
    pairs = {(match.first, match.second) for match in fingerprints.find_matches(codes, of_each(codes))}
    for _ in codes:
        linked |= {item for pair in pairs if linked & set(pair) for item in pair}
    assert linked == {0, *range(12, 51)}


def test_of_a_large_dataset_a_part_of_the_codes_is_enough(band, codes_of, mp3, monkeypatch):
    monkeypatch.setattr(fingerprints, "_MOST_ENTRIES", sum(map(len, band[1])) // 16)  # as for 26,000 clips
    codes = [*band[1], codes_of(mp3(band[0][3])), codes_of(mp3(band[0][5])[: 8 * RATE])]
    assert {(match.first, match.second) for match in fingerprints.find_matches(codes, of_each(codes))} == {(3, 12), (5, 13)}


@pytest.mark.slow
def test_songs_of_one_artist_and_genre_are_not_paired(tmp_path):
    from jukemir_like import audio
    from jukemir_like.audit.fingerprints import SAMPLE_RATE, fingerprint
    from jukemir_like.synthband import generation

    generation.generate(tmp_path, songs=48, seed=3, workers=2)
    items = generation.dataset(tmp_path).items
    artists = [item.extra["artist"] for item in items]
    assert len(set(artists)) < len(artists)
    codes = [fingerprint(audio.load(item.source, SAMPLE_RATE)) for item in items]
    assert fingerprints.find_matches(codes, range(len(codes))) == []
