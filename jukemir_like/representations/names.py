"""Names of representations: ``NAME[-VARIANT][@layer=L][@pool=P]`` where users type them, ``NAME.layerL.P`` in paths.

A model of the Hugging Face hub is called ``hf:ORG/NAME``, with the same options behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from jukemir_like.core.cache import POOLS, reads_as_options, representation_folder
from jukemir_like.core.errors import RequestError

_OPTION = re.compile(r"(?P<option>[a-z]+)=(?P<value>[A-Za-z0-9+_-]+)")
_HUB = "hf:"


@dataclass(frozen=True)
class RepresentationName:
    """A name and its options.

    Args:
        base: the name without options, as ``mert-95m`` or ``hf:facebook/hubert-base-ls960``.
        layer: as typed; None: the representation's own choice.
        pool: one of :data:`~jukemir_like.core.cache.POOLS`; None: the representation's own choice.

    >>> str(RepresentationName("mert-95m", layer="7"))
    'mert-95m@layer=7'
    """

    base: str
    layer: str | None = None
    pool: str | None = None

    def __str__(self) -> str:
        options = [f"@{option}={value}" for option, value in (("layer", self.layer), ("pool", self.pool)) if value is not None]
        return "".join([self.base, *options])

    @property
    def folder(self) -> str:
        """The name in paths.

        >>> parse("hf:facebook/hubert-base-ls960@layer=7@pool=max").folder
        'hf--facebook--hubert-base-ls960.layer7.max'
        """
        return representation_folder(str(self))

    @property
    def family(self) -> str:
        """What stands before the first hyphen: ``stemjepa`` of ``stemjepa-untrained``; of a model of the hub, ``hf``.

        >>> parse("musicnn-msd").family, parse("hf:facebook/hubert-base-ls960").family
        ('musicnn', 'hf')
        """
        return "hf" if self.base.startswith(_HUB) else self.base.partition("-")[0]

    def with_layer(self, layer: str) -> RepresentationName:
        """The same with this layer."""
        return replace(self, layer=layer)


def parse(name: str) -> RepresentationName:
    """The parts of ``name``, as users type it.

    Raises:
        RequestError: an option that is none, stands twice, or has no such value; or a name that paths have for another one.

    >>> parse("mert-95m@layer=7@pool=mean+std")
    RepresentationName(base='mert-95m', layer='7', pool='mean+std')
    """
    base, *options = name.split("@")
    if reads_as_options(base):
        raise RequestError(f"{base!r} cannot be a representation: so do paths call one with options, NAME@layer=L@pool=P or hf:ORG/NAME")
    values: dict[str, str] = {}
    for option in options:
        match = _OPTION.fullmatch(option)
        if match is None or match["option"] not in ("layer", "pool"):
            raise RequestError(f"{name!r}: @{option} is no option of a representation: @layer=L and @pool=P are")
        if match["option"] in values:
            raise RequestError(f"{name!r} gives @{match['option']}= twice: give it once")
        values[match["option"]] = match["value"]
    if values.get("pool", "mean") not in POOLS:
        raise RequestError(f"{name!r}: no pool is called {values['pool']}: choose one of {', '.join(POOLS)}")
    return RepresentationName(base, values.get("layer"), values.get("pool"))
