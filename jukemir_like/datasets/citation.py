"""What to cite for a dataset, and what to know about it: from its declaration and its card."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jukemir_like.datasets import registry

_CARD_SECTIONS = ("What is wrong with it", "What a score on it means")


def cite(name: str, names: Sequence[str | None]) -> str:
    """Title, licence, citation (BibTeX where there is one) and known faults of a dataset, as text.

    Args:
        name: of the dataset, for one that is the user's own.
        names: under which it may be declared, the first that is counts.

    Raises:
        RequestError: its declaration cannot be read.

    >>> cite("mine", ["mine", None])
    'mine: a dataset of your own, for which no licence and no citation are declared'
    """
    # Imported here: the package loads network libraries, which nothing else that opens a dataset needs.
    from jukemir_like.downloads.declarations import declaration_folder, read_declaration

    known = next((one for one in names if one is not None and registry.is_known(one)), None)
    if known is None:
        return f"{name}: a dataset of your own, for which no licence and no citation are declared"
    assets = registry.assets(known)
    declaration = read_declaration(assets)
    citation = re.sub(r"\s+(?=@\w+\{)", "\n", declaration.citation)  # one entry per line
    parts = [f"{declaration.title} ({known})", f"Licence: {declaration.licence}", citation]
    card = declaration_folder(assets) / "card.md"
    text = card.read_text("utf-8") if card.exists() else ""
    sections = dict(re.findall(r"^## (.+?)\n+(.*?)\s*(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    parts += [f"{title}\n\n{sections[title]}" for title in _CARD_SECTIONS if title in sections]
    return "\n\n".join(filter(None, parts))
