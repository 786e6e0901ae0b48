"""The network of Stem-JEPA and its losses, to read from top to bottom.

Riou, Lattner, Hadjeres, Anslow, Peeters, "Stem-JEPA: A Joint-Embedding Predictive Architecture for Musical Stem Compatibility
Estimation", ISMIR 2024, arXiv 2408.02514 ("the paper" below). From the mix of some stems of a song, the network predicts the embedding of
another stem of it::

    mix ──── front-end ── encoder ── predictor ── prediction ─┐
                                         │                    loss
                                     instrument               │
    stem ─── front-end ── teacher ───────────────── target ───┘

1. Front-end: waveform → log-mel.
2. Encoder: log-mel → one vector per patch, by a Vision Transformer.
3. Predictor: patches of the mix and an instrument → patches of the missing stem.
4. Teacher: a moving average of the encoder, which encodes targets.
5. Losses: how far a prediction is from its target.
6. Network: all of these together.

Sizes at the defaults, those of the paper: a chunk of 8 s is 128,000 samples at 16 kHz, a log-mel of 80 bands by 800 frames, and 5 bands by
50 steps = 250 patches of 16 mel bands by 16 frames (0.16 s), each a vector of ``width`` 768. Patches are ordered band by band: patch
``band · steps + step``.

The names of parameters are those in files of weights, and the order in which layers are made decides which random numbers initialise
them: neither can change without changing every result.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from jukemir_like.audio import mel
from jukemir_like.stemjepa import config
from jukemir_like.stemjepa.instrument_text import InstrumentText

# ----------------------------------------------------------------------------------------------------------------------------------------
# 1. Front-end: waveform → log-mel
# ----------------------------------------------------------------------------------------------------------------------------------------

_CPU_BLOCK_SAMPLES = 200_000
_BANDS_AT_ONCE = 16


class LogMel(nn.Module):
    """Standardised log-mel of waveforms, as librosa 0.11 computes it.

    Frames are centred (reflected at the ends) and weighted by a Hann window; powers are summed in mel bands on Slaney's scale, each of unit
    area. The natural logarithm is taken of the power plus float32's epsilon, so that silence is finite. To silence a passage, set its
    samples to zero: zeros in a log-mel are not silence.

    Shape:
        - input: ``(*, samples)``, float32, more than ``n_fft / 2`` samples.
        - output: ``(*, n_mels, samples // hop_length)``, float32. The frame that begins at the very end is left out.

    >>> LogMel(config.Frontend())(torch.zeros(2, 128_000)).shape
    torch.Size([2, 80, 800])
    """

    window: Tensor
    filters: Tensor

    def __init__(self, settings: config.Frontend) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("window", torch.hann_window(settings.n_fft), persistent=False)
        filters = mel.filters(settings.sample_rate, settings.n_fft, settings.n_mels, settings.f_min, settings.f_max)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        self._blocks = mel.blocks(filters, _BANDS_AT_ONCE)

    def forward(self, waveform: Tensor) -> Tensor:
        settings = self.settings
        frames = waveform.shape[-1] // settings.hop_length
        flat = waveform.float().reshape(-1, waveform.shape[-1])  # (clips, samples)
        log_mel = flat.new_empty(len(flat), settings.n_mels, frames)
        # On a CPU a few clips at a time: their frames, five times as large as the clips, then stay in its cache.
        block = _CPU_BLOCK_SAMPLES // flat.shape[-1] + 1 if flat.device.type == "cpu" else len(flat)
        with without_autocast(waveform.device):
            for clips, output in zip(torch.split(flat, block), torch.split(log_mel, block), strict=True):
                output.copy_(self._log_mel_of_clips(clips, frames))
        return log_mel.view(*waveform.shape[:-1], settings.n_mels, frames)

    def _log_mel_of_clips(self, clips: Tensor, frames: int) -> Tensor:
        """``(clips, samples)`` → ``(clips, n_mels, frames)``."""
        n_fft, hop_length = self.settings.n_fft, self.settings.hop_length
        spectrum = torch.stft(clips, n_fft, hop_length, window=self.window, center=True, return_complex=True)[..., :frames]
        power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)  # (clips, n_fft // 2 + 1, frames)
        if clips.device.type == "cpu":  # a band has few of the bins: products with the zeros of all others would take six times as long
            bands = torch.cat([self.filters[rows, bins] @ power[:, bins] for rows, bins in self._blocks], dim=1)
        else:
            bands = self.filters @ power
        return (bands + torch.finfo(torch.float32).eps).log_().sub_(self.settings.mean).div_(self.settings.std)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Within it, products of float32 tensors are computed in float32, whatever autocast says around it."""
    return torch.autocast(device.type, enabled=False) if torch.amp.is_autocast_available(device.type) else nullcontext()


# ----------------------------------------------------------------------------------------------------------------------------------------
# 2. Encoder: log-mel → one vector per patch
#
# A Vision Transformer without class token: pre-norm blocks (Xiong et al. 2020), exact GELU, fixed two-dimensional sine and cosine positions
# (Dosovitskiy et al. 2021; He et al. 2022).
# ----------------------------------------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017). Shape: ``(batch, tokens, width)`` in and out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, length, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, width / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return attended


class Mlp(nn.Module):
    """Two layers, applied to each token alone. Shape: ``(*, width)`` in and out."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        mapped: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return mapped


class Block(nn.Module):
    """The block of the Vision Transformer: attention, then the MLP, each on normalised tokens and added to them.

    Shape: ``(batch, tokens, width)`` in and out.

    >>> Block(width=64, heads=4)(torch.zeros(2, 250, 64)).shape
    torch.Size([2, 250, 64])
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, round(width * mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        output: Tensor = tokens + self.mlp(self.norm2(tokens))
        return output


class PatchEmbedding(nn.Module):
    """Cuts a log-mel into patches and projects each: a convolution whose stride is its kernel, as one matrix product.

    Shape: ``(batch, n_mels, frames)`` → ``(batch, bands · steps, width)``.
    """

    def __init__(self, width: int, patch_mels: int, patch_frames: int) -> None:
        super().__init__()
        self.patch = (patch_mels, patch_frames)
        self.proj = nn.Linear(patch_mels * patch_frames, width)

    def forward(self, log_mel: Tensor) -> Tensor:
        batch, mels, frames = log_mel.shape
        bands, steps = mels // self.patch[0], frames // self.patch[1]
        patches = log_mel.view(batch, bands, self.patch[0], steps, self.patch[1]).permute(0, 1, 3, 2, 4)
        projected: Tensor = self.proj(patches.reshape(batch, bands * steps, -1))
        return projected


class Encoder(nn.Module):
    """The Vision Transformer.

    Shape:
        - input: ``(batch, n_mels, frames)``, frames a multiple of ``patch_frames``, at most those of a chunk.
        - output: ``(batch, bands · steps, width)``, band by band.

    >>> Encoder(config.Model(encoder=config.Encoder("tiny")))(torch.zeros(1, 80, 160)).shape  # 1.6 s: 5 bands, 10 steps
    torch.Size([1, 50, 192])
    """

    positions: Tensor

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        encoder = settings.encoder
        self.bands, self.steps, self.width = settings.bands, settings.steps, encoder.width
        self.patch_embed = PatchEmbedding(encoder.width, encoder.patch_mels, encoder.patch_frames)
        self.register_buffer("positions", _positions(settings, encoder.width), persistent=False)
        self.blocks = nn.ModuleList(Block(encoder.width, encoder.heads, encoder.mlp_ratio) for _ in range(encoder.depth))
        self.norm = nn.LayerNorm(encoder.width)
        initialise(self)

    def forward(self, log_mel: Tensor) -> Tensor:
        for state in self.states(log_mel):
            encoded = state
        return encoded

    def states(self, log_mel: Tensor) -> Iterator[Tensor]:
        """The patches at every layer, from one pass: each state is computed when it is asked for.

        State 0 is the embedding of the patches with their positions, state n the output of block n, and the last one, of number ``depth``,
        that of the last block after the norm: the encoder's output.

        >>> encoder = Encoder(config.Model(encoder=config.Encoder("tiny")))
        >>> len(list(encoder.states(torch.zeros(1, 80, 160)))) == len(encoder.blocks) + 1
        True
        """
        tokens = self.patch_embed(log_mel)
        # A clip shorter than a chunk takes the first steps of every band, which are not the first rows of the table.
        steps = tokens.shape[1] // self.bands
        positions = self.positions.view(self.bands, self.steps, self.width)[:, :steps].reshape(1, -1, self.width)
        tokens = tokens + positions
        for block in self.blocks:
            yield tokens
            tokens = block(tokens)
        yield self.norm(tokens)


def sincos_positions(bands: int, steps: int, width: int, *, time_first: bool = False) -> Tensor:
    """Fixed positions: float32 of shape ``(bands · steps, width)``; half of the channels encode the band, the other half the time step.

    Args:
        bands, steps: patches along frequency and time.
        width: channels.
        time_first: the first half encodes the time step, not the band.

    >>> sincos_positions(bands=5, steps=50, width=768).shape
    torch.Size([250, 768])
    """
    half = width // 2
    by_band = _sinusoids(bands, half)[:, None].expand(-1, steps, -1)
    by_step = _sinusoids(steps, half)[None].expand(bands, -1, -1)
    return torch.cat([by_step, by_band] if time_first else [by_band, by_step], dim=-1).reshape(-1, width)


def _positions(settings: config.Model, width: int) -> Tensor:
    return sincos_positions(settings.bands, settings.steps, width, time_first=settings.encoder.positions == "time-first")


def _sinusoids(length: int, channels: int) -> Tensor:
    """Row n holds sin(n ωₖ), then cos(n ωₖ), for ωₖ = 10000^(−2k / channels), k = 0 … channels / 2 − 1. Shape ``(length, channels)``."""
    rates = torch.exp(torch.arange(channels // 2, dtype=torch.float64) * (-math.log(10_000.0) / (channels / 2)))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).float()


def initialise(network: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every linear layer."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


# ----------------------------------------------------------------------------------------------------------------------------------------
# 3. Predictor: patches of the mix and an instrument → patches of the missing stem
# ----------------------------------------------------------------------------------------------------------------------------------------


def _instruments(predictor: config.Predictor, width: int) -> nn.Embedding | InstrumentText:
    """Number of an instrument → its vector, ``(batch,)`` → ``(batch, width)``: learned for each by itself, or made of its name."""
    if predictor.instruments == "text":
        return InstrumentText(predictor.text_buckets, predictor.text_width, width)
    return nn.Embedding(predictor.num_sources, width)


def _vectors(instruments: nn.Module, source: Tensor) -> Tensor:
    vectors: Tensor = source if source.is_floating_point() else instruments(source)
    return vectors


class MlpPredictor(nn.Module):
    """Predicts each patch from the mix's patch at the same place and the instrument (paper, section 3).

    Shape:
        - context: ``(batch, patches, width)``.
        - source: ``(batch,)``, the instrument's number, from 0; or its vector, as :attr:`sources` gives it.
        - output: ``(batch, patches, width)``.
    """

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        predictor = settings.predictor
        outer, hidden, depth = settings.encoder.width, predictor.width, predictor.depth
        self.concatenated, self.film = predictor.concatenated, predictor.conditioning == "film"
        self.sources = _instruments(predictor, outer) if predictor.conditioning != "none" else None
        inputs = [outer, *[hidden] * depth]
        self.layers = nn.ModuleList(
            nn.Linear(size + outer * (layer < self.concatenated), output)
            for layer, (size, output) in enumerate(zip(inputs, [*inputs[1:], outer], strict=True))
        )
        self.modulation = nn.Linear(outer, 2 * hidden * depth) if self.film else None
        self.norm = nn.LayerNorm(outer)
        if predictor.initialisation == "xavier":
            initialise(self)
        if self.modulation is not None:  # scales of 1 and shifts of 0: every instrument begins as the plain MLP
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(self, context: Tensor, source: Tensor) -> Tensor:
        instrument = _vectors(self.sources, source) if self.sources is not None else None  # (batch, width)
        per_patch = instrument[:, None].expand(-1, context.shape[1], -1) if instrument is not None else None
        hidden_layers = len(self.layers) - 1
        # FiLM (Perez et al. 2018): for every hidden layer a scale and a shift, each (batch, 1, hidden).
        film = self.modulation(instrument)[:, None].chunk(2 * hidden_layers, dim=-1) if self.modulation is not None else ()
        hidden = context
        for number, layer in enumerate(self.layers):
            hidden = layer(torch.cat([hidden, per_patch], dim=-1) if number < self.concatenated and per_patch is not None else hidden)
            if number < hidden_layers:
                if film:
                    hidden = hidden * (1 + film[2 * number]) + film[2 * number + 1]
                hidden = F.relu(hidden)
        predicted: Tensor = self.norm(hidden)
        return predicted


class TransformerPredictor(nn.Module):
    """Predicts patches from all patches of the mix; the instrument is one more token, the first. Shapes as in :class:`MlpPredictor`."""

    positions: Tensor

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        predictor = settings.predictor
        outer, width = settings.encoder.width, predictor.width
        self.bands, self.steps, self.width = settings.bands, settings.steps, width
        self.embed = nn.Linear(outer, width)
        self.sources = _instruments(predictor, width)
        self.register_buffer("positions", _positions(settings, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, predictor.heads) for _ in range(predictor.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outer)
        initialise(self)

    def forward(self, context: Tensor, source: Tensor) -> Tensor:
        steps = context.shape[1] // self.bands
        positions = self.positions.view(self.bands, self.steps, self.width)[:, :steps].reshape(1, -1, self.width)
        tokens = torch.cat([_vectors(self.sources, source)[:, None], self.embed(context) + positions], dim=1)  # (batch, 1 + patches, width)
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.head(self.norm(tokens[:, 1:]))
        return predicted


def build_predictor(settings: config.Model) -> MlpPredictor | TransformerPredictor:
    """The predictor that ``settings`` name."""
    return MlpPredictor(settings) if settings.predictor.kind == "mlp" else TransformerPredictor(settings)


# ----------------------------------------------------------------------------------------------------------------------------------------
# 4. Teacher: the target encoder, an exponential moving average of the encoder
#
# After n updates with the same τ, the weights of k updates ago have the share (1 − τ) τᵏ, and those before the first update have τⁿ.
# ----------------------------------------------------------------------------------------------------------------------------------------


def make_teacher(student: nn.Module) -> nn.Module:
    """A copy of ``student`` that no gradient reaches."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, tau: float) -> None:
    """teacher ← τ · teacher + (1 − τ) · student, for all parameters in one fused operation."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - tau)


def tau_by_half_life(half_life_steps: float) -> float:
    """The τ for which, after ``half_life_steps`` updates, half of the teacher is new. 0: the teacher is the student.

    >>> round(tau_by_half_life(1000), 6)
    0.999307
    """
    return float(0.5 ** (1 / half_life_steps)) if half_life_steps > 0 else 0.0


def tau_linear(step: int, max_steps: int, first: float = 0.99995, last: float = 0.99999) -> float:
    """τ that goes linearly from ``first`` to ``last`` over a run (the paper's schedule).

    >>> round(tau_linear(150_000, 300_000), 6)
    0.99997
    """
    return first + (last - first) * min(step / max(max_steps, 1), 1.0)


# ----------------------------------------------------------------------------------------------------------------------------------------
# 5. Losses: how far a prediction is from its target
# ----------------------------------------------------------------------------------------------------------------------------------------

_LEAST_VARIANCE = 1e-6


def predictive_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Normalised squared error of every example (paper, section 3): 0 where directions agree, 2 where they are orthogonal, 4 at most.

    The target's patches are standardised over their features, then both are brought to unit length: ‖p − t‖² = 2 − 2 ⟨p, t⟩. No gradient
    reaches the target.

    Args:
        prediction: ``(batch, patches, width)``.
        target: as ``prediction``.

    Returns:
        ``(batch,)``: the mean over patches.

    >>> patches = torch.tensor([[[1.0, -1.0, 0.0]]])
    >>> predictive_loss(patches, 5 * patches).abs().item() < 1e-6, round(predictive_loss(-patches, patches).item(), 3)
    (True, 4.0)
    """
    target = target.detach().float()
    centred = target - target.mean(-1, keepdim=True)
    target = centred / (target.var(-1, keepdim=True) + _LEAST_VARIANCE).sqrt()
    cosine = F.cosine_similarity(prediction.float(), target, dim=-1)
    return (2 - 2 * cosine).mean(-1)


def contrastive_loss(query: Tensor, key: Tensor, temperature: float, excluded: Tensor | None = None) -> Tensor:
    """How surely each query finds its own key among the batch's, and each key its query (InfoNCE in both directions; arXiv 2411.19806).

    Args:
        query: ``(batch, width)``, of any length: cosines are taken.
        key: ``(batch, width)``; key i belongs to query i.
        temperature: above 0; cosines are divided by it.
        excluded: ``(batch, batch)`` booleans: pairs that are not negatives, such as two chunks of one track. An example's own pair is never
            excluded. None: all other pairs are negatives.

    Returns:
        ``(batch,)``: mean of the two cross-entropies; ln(batch) by chance.

    >>> contrastive_loss(torch.ones(8, 4), torch.ones(8, 4), temperature=0.1)[0].item() - math.log(8) < 1e-6
    True
    """
    with without_autocast(query.device):  # cosines are divided by a small number: three digits, those of bfloat16, are too few
        logits = F.normalize(query.float(), dim=-1) @ F.normalize(key.float(), dim=-1).T / temperature  # (batch, batch)
    if excluded is not None:
        logits = logits.masked_fill(excluded & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device), float("-inf"))
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.T, own, reduction="none")) / 2


# ----------------------------------------------------------------------------------------------------------------------------------------
# 6. Network: front-end, encoder, teacher and predictor together
# ----------------------------------------------------------------------------------------------------------------------------------------


class Views(NamedTuple):
    """The patches of a batch of examples, each of shape ``(batch, patches, width)``."""

    context: Tensor
    target: Tensor
    prediction: Tensor


class Network(nn.Module):
    """A Stem-JEPA.

    Attributes:
        frontend: waveform → log-mel.
        encoder: log-mel → patches. It is trained, and it embeds mixes.
        teacher: its moving average, for targets and for the stems of a library.
        predictor: patches of a mix and an instrument → patches of the missing stem.

    >>> model = config.Model(encoder=config.Encoder("tiny"))
    >>> waveforms = torch.zeros(2, model.chunk_samples)
    >>> views = Network(model)(context=waveforms, target=waveforms, source=torch.tensor([0, 3]))
    >>> views.prediction.shape
    torch.Size([2, 250, 192])
    """

    def __init__(self, settings: config.Model) -> None:
        super().__init__()
        self.settings = settings
        self.frontend = LogMel(settings.frontend)
        self.encoder = Encoder(settings)
        self.teacher = make_teacher(self.encoder)
        self.predictor = build_predictor(settings)

    def name_instruments(self, names: Sequence[str], *, wordings: Sequence[Sequence[str]] | None = None, heard: Sequence[str] = ()) -> None:
        """Gives a predictor that is conditioned by text the names of its instruments; any other needs none.

        Args:
            names: in the order of their numbers.
            wordings: of each, its name and other ways to say it in training; None: none.
            heard: other names that training has heard.
        """
        if isinstance(self.predictor.sources, InstrumentText):
            self.predictor.sources.give_names([(name,) for name in names] if wordings is None else wordings, heard)

    def forward(self, context: Tensor, target: Tensor, source: Tensor, wording: Tensor | None = None, *, by_teacher: bool = True) -> Views:
        """Encodes a mix and the stem that it lacks, and predicts the stem from the mix.

        Args:
            context: ``(batch, samples)``, the mix; at most a chunk of audio at the front-end's rate.
            target: ``(batch, samples)``, the missing stem.
            source: ``(batch,)``, the number of its instrument.
            wording: ``(batch,)``, whole numbers that choose how the instrument's name is said, where the predictor is conditioned by text;
                None: as it is.
            by_teacher: the teacher encodes the target, and no gradient reaches it; else the encoder does, and learns from both sides.
        """
        with torch.no_grad():
            log_mels = self.frontend(torch.cat([context, target]))
        if by_teacher:
            patches = self.encoder(log_mels[: len(context)])
            with torch.no_grad():
                targets = self.teacher(log_mels[len(context) :])
        else:
            patches, targets = self.encoder(log_mels).split(len(context))
        said = self.predictor.sources(source, wording) if isinstance(self.predictor.sources, InstrumentText) else source
        return Views(patches, targets, self.predictor(patches, said))

    def pooled(self, patches: Tensor) -> Tensor:
        """Patches averaged over time, bands side by side: ``(batch, bands · steps, width)`` → ``(batch, bands · width)``, float32."""
        batch, tokens, width = patches.shape
        return patches.float().view(batch, self.settings.bands, tokens // self.settings.bands, width).mean(2).flatten(1)
