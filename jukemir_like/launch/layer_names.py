"""Which layers a representation has, from what is known of it without its weights."""

from __future__ import annotations

from jukemir_like import representations
from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.encoders import encoder
from jukemir_like.representations.names import parse
from jukemir_like.representations.stemjepa import parse_name
from jukemir_like.stemjepa import checkpoint, config


def layer_names(name: str, cache: Cache, card: str | None = None) -> tuple[str, ...]:
    """Names of the layers of a representation, from the lowest; empty where it has none.

    Args:
        name: of the representation; a pool may be named.
        cache: where cards of encoders and weights of Stem-JEPA are.
        card: file of the user's own card.

    Raises:
        RequestError: it is not known, or names a layer already.

    >>> layer_names("choi", Cache.default()), len(layer_names("stemjepa", Cache.default()))
    ((), 5)
    """
    parsed = parse(name)
    if parsed.layer is not None:
        raise RequestError(f"{name} names a layer already: leave it out of the name")
    if card is not None or encoder.is_encoder(parsed.base, cache=cache):
        return encoder.find_card(parsed.base, cache=cache, card=card).layer_names
    if parsed.family == "stemjepa":
        return tuple(map(str, range(stemjepa_model(name, cache).encoder.depth + 1)))
    return representations.load(name, cache=cache).layers


def check_layers(name: str, layers: str, cache: Cache, card: str | None = None) -> None:
    """Refuses layers that every batch of an extraction would refuse.

    Args:
        name, cache, card: as for :func:`layer_names`.
        layers: as the option ``--layers``: ``all``, or names with commas between.

    Raises:
        RequestError: there is no such layer, or none at all.
    """
    known = layer_names(name, cache, card)
    if not known:
        raise RequestError(f"{parse(name).base} has no layers to choose: leave --layers out")
    wanted = known if layers == "all" else [layer.strip() for layer in layers.split(",")]
    unknown = next((layer for layer in wanted if layer not in known), None)
    if unknown is not None:
        raise RequestError(f"{parse(name).base} has no layer {unknown}: choose one of {known[0]} … {known[-1]}")


def stemjepa_model(name: str, cache: Cache) -> config.Model:
    """The model of weights that are there, or that a recipe of the package would train."""
    weights, _ = parse_name(name)
    recipes = {path.stem for path in (checkpoint.FOLDER.parent / "configs" / "recipe").glob("*.yaml")}
    if weights in recipes - set(checkpoint.names(cache)):
        from jukemir_like.stemjepa.training.compose import compose_settings

        return compose_settings([f"recipe={weights}"]).model
    return checkpoint.header(checkpoint.resolve(weights, cache)).model
