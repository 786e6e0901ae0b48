"""The studio of synthband2: stems of an instrument each become a record of an artist.

Each stem is compressed, driven, modulated, equalised and put into the artist's room; the song goes through a medium (tape, record, radio,
…) and is mastered. What is done to the mix is computed on the mix and done to all stems alike, so that they still sum to it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from jukemir_like.studio import channel, codec, convolution, distortion, dynamics, modulation, noises, rooms, spectrum
from jukemir_like.studio.levels import Samples, active_level, ratio
from jukemir_like.studio.mastering import Master, master
from jukemir_like.synthband import taste
from jukemir_like.synthband.rounding import rounded
from jukemir_like.synthband.seeding import stream
from jukemir_like.synthband.taste import Channel, Medium, Production, Squeeze

_CEILING = -0.5  # dB of full scale
_KNEE = 6.0  # dB
_MOST_RAISED = 10.0  # dB: a stem of which equalisers and medium leave less than that, as a bass by telephone, stays soft


def produce(
    stems: NDArray[np.float32], sample_rate: int, *, artist_seed: int, song_seed: int
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Produces a song.

    Args:
        stems: float32 ``(4, samples)``: bass, drums, other, vocals, at any level. They are left as they are.
        sample_rate: in Hz.
        artist_seed: of what an artist's songs have in common.
        song_seed: of the rest.

    Returns:
        float32 ``(4, samples)``, and what was done, of plain numbers and texts. The sum of the stems is the mastered mix, neither it nor a
        stem exceeds 1 (-0.5 dB). A silent stem stays silent. The same seeds give the same bits.
    """
    settings = taste.production(artist_seed, song_seed)
    rng = stream(song_seed, "studio sound", artist_seed)
    phases = rng.random(8)
    levels = [active_level(stem, sample_rate) for stem in stems]
    produced = np.zeros(stems.shape, np.float32)
    for row, (stem, one) in enumerate(zip(stems, settings.channels, strict=True)):
        if levels[row]:
            produced[row] = _insert(stem * np.float32(1 / levels[row]), sample_rate, one, phases[2 * row : 2 * row + 2])
            _add_noise(produced[row], sample_rate, settings.medium, rng)
    produced = _filtered(produced, sample_rate, settings, rng)
    medium = settings.medium
    if medium.cents:
        produced = modulation.delayed(produced, modulation.drift(stems.shape[-1], sample_rate, medium.cents, rng))
    if medium.hold > 1:
        produced = channel.hold(produced, medium.hold)
    if medium.kept < 1:
        produced = codec.thin(produced, sample_rate, medium.kept)
    for row, one in enumerate(settings.channels):
        level = max(active_level(produced[row], sample_rate), ratio(-_MOST_RAISED))
        if levels[row]:
            if medium.bits:
                produced[row] = channel.quantise(produced[row], medium.bits, 4 * level)
            produced[row] *= np.float32(levels[row] * ratio(one.balance) / level)
    mastering = settings.mastering
    glue = None if mastering.glue is None else _compressor(mastering.glue)
    mastered = master(produced, sample_rate, Master(mastering.loudness, _CEILING, glue, mastering.release / 1000))
    measured = {"glued": round(mastered.glued, 2), "limited": round(mastered.limited, 2)}
    return mastered.stems, {**rounded(asdict(settings)), "measured": measured}


def _insert(stem: Samples, sample_rate: int, one: Channel, phases: NDArray[np.float64]) -> Samples:
    """What a stem at a level of 1 goes through on its own."""
    if one.squeeze is not None:
        stem = stem * dynamics.compressor_gain(stem, sample_rate, _compressor(one.squeeze))
    if one.drive:
        stem = distortion.saturate(stem, ratio(one.drive - 12), one.bias)  # -12 dB: peaks of a stem lie about so far above its level
        level = active_level(stem, sample_rate)
        if level:
            stem *= np.float32(1 / level)
    if one.chorus:
        stem = modulation.chorus(stem, sample_rate, one.chorus_hertz, one.chorus_milliseconds / 1000, one.chorus, float(phases[0]))
    if one.tremolo:
        stem = modulation.tremolo(stem, sample_rate, one.tremolo_hertz, one.tremolo, float(phases[1]))
    return stem


def _add_noise(stem: Samples, sample_rate: int, medium: Medium, rng: Generator) -> None:
    """Adds to each stem a noise of its own: a noise that stems shared would tell which of them belong together."""
    if medium.hiss is not None:
        stem += noises.hiss(len(stem), medium.hiss, rng)
    if medium.hum is not None:
        stem += noises.hum(len(stem), sample_rate, medium.hum_hertz, medium.hum, rng)
    if medium.crackle:
        stem += noises.crackle(len(stem), sample_rate, medium.crackle / 4, medium.crackle_level + 20, rng)


def _filtered(stems: Samples, sample_rate: int, settings: Production, rng: Generator) -> Samples:
    """Equalisers, room, medium and the mastering's equaliser: all linear, so one filter for each stem."""
    room = rooms.reflections(
        settings.room.seconds, sample_rate, rng,
        size_seconds=settings.room.size / 1000, dullness=settings.room.dullness, early=settings.room.early,
    )  # fmt: skip
    count = stems.shape[-1]
    if not count:
        return stems
    from scipy import fft

    taps = len(room) + sample_rate // 10  # the equalisers ring for less than a tenth of a second
    length = convolution.block_length(taps, taps + count)
    of_room = fft.rfft(room, length, workers=1)
    medium, mastering = settings.medium, settings.mastering
    common = spectrum.response(
        [
            spectrum.high_pass(medium.low_cut, 2, sample_rate),
            spectrum.low_pass(medium.high_cut, medium.order, sample_rate),
            spectrum.low_shelf(150, mastering.low, sample_rate),
            spectrum.bell(mastering.middle_hertz, mastering.middle, 0.9, sample_rate),
            spectrum.high_shelf(3000, mastering.high, sample_rate),
        ],
        length,
    )
    responses = [common * _equaliser(one, sample_rate, length) * (1 + ratio(one.send) * of_room) for one in settings.channels]
    silence = np.zeros((len(stems), taps), np.float32)
    return convolution.filter_blocks(silence, stems, silence[:, :0], np.stack(responses).astype(np.complex64))


def _equaliser(one: Channel, sample_rate: int, length: int) -> NDArray[np.complex128]:
    return spectrum.response(
        [
            spectrum.high_pass(one.low_cut, 2, sample_rate),
            spectrum.low_shelf(one.low_hertz, one.low, sample_rate),
            spectrum.bell(one.middle_hertz, one.middle, one.middle_q, sample_rate),
            spectrum.high_shelf(one.high_hertz, one.high, sample_rate),
            distortion.treble() if one.drive else spectrum.none(),
        ],
        length,
    )


def _compressor(squeeze: Squeeze) -> dynamics.Compressor:
    return dynamics.Compressor(squeeze.threshold, squeeze.ratio, _KNEE, squeeze.attack / 1000, squeeze.release / 1000)
