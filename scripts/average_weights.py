"""Averages weights of one network that were trained from the same beginning: the average keeps what each of them has learned.

    python scripts/average_weights.py OUT.safetensors old=0.5 first=0.25 second=0.25

Each name is that of weights in the package or the cache, or the path of a file; shares are divided by their sum. Networks that were not
trained from the same weights have no average that is of use (Wortsman et al., *Model soups*, arXiv 2203.05482). The configuration is that
of the first, and the origin of all is in the header of what is written (float32).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa import checkpoint


def main(arguments: Sequence[str]) -> None:
    if len(arguments) < 3:
        sys.exit(str(__doc__))
    target, *parts = arguments
    try:
        shares = [(name, float(share)) for name, _, share in (part.rpartition("=") for part in parts)]
    except ValueError:
        sys.exit(f"{' '.join(parts)}: give a name or path, = and a number for each")
    total = sum(share for _, share in shares)
    if not 0 < total < math.inf or min(share for _, share in shares) < 0:
        sys.exit("the shares must be 0 or above, and not all 0")
    try:
        average(Path(target), [(name, share / total) for name, share in shares])
    except RequestError as error:
        sys.exit(str(error))


def average(target: Path, shares: Sequence[tuple[str, float]]) -> None:
    """Writes the average of weights to ``target``.

    Args:
        target: the file.
        shares: name or path of each file of weights, and its share; they sum to 1.

    Raises:
        RequestError: weights that cannot be read, or are of another network or other instruments than the first.
    """
    loaded = [(checkpoint.load(checkpoint.resolve(name)), name, share) for name, share in shares]
    first, name_of_first, _ = loaded[0]
    state = first.network.state_dict()
    shapes = {name: tensor.shape for name, tensor in state.items()}
    for one, name, _ in loaded[1:]:
        alike = {key: tensor.shape for key, tensor in one.network.state_dict().items()} == shapes
        if not alike or one.sources != first.sources or one.model.frontend != first.model.frontend:
            raise RequestError(f"{name} is of another network, front-end or other instruments than {name_of_first}: average weights of one")
    averaged = {key: sum(share * one.network.state_dict()[key].double() for one, _, share in loaded) for key in state}
    first.network.load_state_dict({key: tensor.to(state[key].dtype) for key, tensor in averaged.items()})  # type: ignore[union-attr]
    origins = [{"share": share, "digest": one.digest, "provenance": one.provenance} for one, _, share in loaded]
    checkpoint.save(target, first.network, provenance={"average": origins}, sources=first.sources)


if __name__ == "__main__":
    main(sys.argv[1:])
