"""Vectors by weights that are given by ``--weights`` have a name of their own in the cache: they do not replace those by others."""

from __future__ import annotations

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.names import parse
from jukemir_like.stemjepa.weights_names import representation_with


def kept_name(representation: str, weights: str | None, dataset: str | None, cache: Cache) -> str:
    """The name under which the command ``extract`` keeps vectors.

    Args:
        representation: as given.
        weights: as given by ``--weights``; None: it was not.
        dataset: as given by ``--dataset``; None: a folder was given instead, and what is in it is for the user to know.
        cache: of weights and vectors.

    Raises:
        RequestError: there are no such weights, or they are those of an encoder of others.

    >>> kept_name("stemjepa", None, "gtzan_ff", Cache.default()), kept_name("stemjepa", "free-music", None, Cache.default())
    ('stemjepa', 'stemjepa')
    """
    if weights is None or dataset is None:
        return representation
    if parse(representation).family != "stemjepa":
        raise RequestError(
            f"--weights with --dataset would replace the vectors of {representation}: give INPUT and OUTPUT, a folder of your own"
        )
    return representation_with(representation, weights, cache)
