"""A small text encoder, trained along with the predictor: the name of an instrument → a vector, in the place of one vector per instrument.

A name that was never trained has a vector too, made of what it shares with names that were (:mod:`.instrument_names`)::

    name ── words and parts of words ── numbers ── embeddings ── mean over parts, then over words ── two layers ── norm ── vector

The names that training has heard are stored with the weights. Words and parts that are in none of them have random embeddings, which say
nothing. Where a whole word of a name was heard, the others are left out of the mean, in which a word that was heard in part counts by that
part. Where none was, the embedding of an empty part stands for what was not heard: training predicts stems whose instrument is not said by
it, so the less of such a name was heard, the nearer its vector is to that of no particular instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from jukemir_like.stemjepa.instrument_names import features, number

_TURNS = 8
_EMPTY = ""


class InstrumentText(nn.Module):
    """Vectors of names of instruments, called as :class:`torch.nn.Embedding` is once the names are given.

    Args:
        buckets: different numbers that features of names have; two features may share one.
        part_width: length of a feature's embedding.
        width: length of a name's vector.

    Attributes:
        heard_names: all that training has heard: the names, and other ways to say them.

    Shape:
        - input: ``(batch,)``, numbers of names given to :meth:`give_names`.
        - output: ``(batch, width)``, each of mean 0 and variance 1.

    >>> text = InstrumentText(buckets=512, part_width=16, width=32)
    >>> text.give_names([("bass",), ("drums", "Schlagzeug")])
    >>> text(torch.tensor([1, 0, 1])).shape, text.encode(["bass drum"]).shape
    (torch.Size([3, 32]), torch.Size([1, 32]))
    """

    numbers: Tensor
    shares: Tensor
    first: Tensor
    count: Tensor

    def __init__(self, buckets: int, part_width: int, width: int) -> None:
        super().__init__()
        self.parts = nn.Embedding(buckets, part_width)
        self.fc1 = nn.Linear(part_width, width)
        self.fc2 = nn.Linear(width, width)
        self.heard_names: tuple[str, ...] = ()
        self._heard: frozenset[str] = frozenset()  # their features
        # Of every wording its numbers and their shares in its mean, and of every name which wordings are its own.
        for name in ("numbers", "shares", "first", "count"):
            self.register_buffer(name, torch.zeros(0), persistent=False)

    def give_names(self, wordings: Sequence[Sequence[str]], heard: Iterable[str] = ()) -> None:
        """Says which name has which number.

        Args:
            wordings: of each name the ways to say it, at least one; the first is the name itself.
            heard: other names that were heard in training.
        """
        device = self.parts.weight.device
        said = [wording for of_name in wordings for wording in of_name]
        self.heard_names = tuple(dict.fromkeys([*said, *heard]))
        self._heard = frozenset(feature for name in self.heard_names for of_word in features(name) for feature in of_word)
        self.numbers, self.shares = self._tables([*said, ""])
        self.count = torch.tensor([len(of_name) for of_name in wordings], device=device)
        self.first = self.count.cumsum(0) - self.count

    def forward(self, source: Tensor, wording: Tensor | None = None) -> Tensor:
        """The vectors of names by their numbers.

        Args:
            source: ``(batch,)``, numbers of names.
            wording: ``(batch,)``, any whole numbers from 0. Of eight in a row, four say the name itself, three choose among all ways to say
                it, and one says nothing. None: the names themselves.
        """
        if not len(self.first):
            raise RuntimeError("the instruments have no names yet: call give_names first")
        rows = self.first[source]
        if wording is not None:
            chosen = rows + (wording % 2) * (wording // _TURNS % self.count[source])
            rows = torch.where(wording % _TURNS == _TURNS - 1, len(self.numbers) - 1, chosen)
        return self._vectors(self.numbers[rows], self.shares[rows])

    def encode(self, names: Sequence[str]) -> Tensor:
        """The vectors of any names, ``(names, width)``, from those of their features that training has heard, and an empty one."""
        return self._vectors(*self._tables(names))

    def mean(self) -> Tensor:
        """The mean ``(width,)`` of the vectors of the names: it stands for any instrument."""
        vectors: Tensor = self(torch.arange(len(self.first), device=self.parts.weight.device))
        return vectors.mean(0)

    def heard_share(self, name: str) -> float:
        """How much of a name training has heard: 0, nothing, to 1, all of its words and all of their parts.

        >>> text = InstrumentText(buckets=8192, part_width=16, width=32)
        >>> text.give_names([("bass",), ("drums",)])
        >>> text.heard_share("Drum"), text.heard_share("drum bass"), round(text.heard_share("drummer"), 2), text.heard_share("kazoo")
        (1.0, 1.0, 0.36, 0.0)
        """
        of_words = [sum(feature in self._heard for feature in of_word) / len(of_word) for of_word in features(name)]
        return sum(of_words) / max(len(of_words), 1)

    def has_heard_word(self, name: str) -> bool:
        """Whether training has heard a whole word of a name.

        >>> text = InstrumentText(buckets=8192, part_width=16, width=32)
        >>> text.give_names([("bass",), ("drums",)])
        >>> text.has_heard_word("jazz drum"), text.has_heard_word("drummer")
        (True, False)
        """
        return any(of_word[0] in self._heard for of_word in features(name))

    def _vectors(self, numbers: Tensor, shares: Tensor) -> Tensor:
        mean = (self.parts(numbers) * shares[..., None]).sum(1)
        hidden = F.gelu(self.fc1(mean))
        return F.layer_norm(self.fc2(hidden).float(), (self.fc2.out_features,))

    def _tables(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Numbers of the features of each name and their shares in its mean, ``(names, most)`` each; the rest of a row has no share."""
        rows: list[list[tuple[int, float]]] = []
        for name in names:
            said = [
                (feature if feature in self._heard else _EMPTY, 1 / len(of_word)) for of_word in features(name) for feature in of_word
            ] or [(_EMPTY, 1.0)]
            if self.has_heard_word(name):
                said = [(feature, share) for feature, share in said if feature != _EMPTY]
            total = sum(share for _, share in said)
            rows.append([(number(feature, self.parts.num_embeddings), share / total) for feature, share in said])
        most = max((len(row) for row in rows), default=0)
        padded = [row + [(0, 0.0)] * (max(most, 1) - len(row)) for row in rows]
        device = self.parts.weight.device
        numbers = torch.tensor([[place for place, _ in row] for row in padded], device=device)
        return numbers, torch.tensor([[share for _, share in row] for row in padded], device=device)
