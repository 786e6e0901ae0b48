"""Figures as SVG text for the page.

The same figures give the same bytes. Black parts of a plot take the colour of the page's text, so that plots fit light and dark pages.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from jukemir_like.core.files import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito, distinct under common colour blindness, without its yellow and black."""
GREY = "#9a9a9a"
PUBLISHED = "#8a68b8"
"""Colour of published results: none of the colours of representations, readable on light and dark pages."""

INK = "#010203"
"""Stands for the page's text colour."""

SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "jukemir-like",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,
}


def svg_text(figure: Figure, identifier: str, description: str) -> str:
    """The figure as SVG.

    Args:
        figure: drawn under :data:`SETTINGS`.
        identifier: makes the names inside the SVG unique in the page.
        description: what it shows, for those who do not see it.
    """
    from html import escape

    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{identifier}-", text)  # ids must be unique in the page
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = text.replace(INK, "currentColor")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(printable(description))}"', 1)


def short(name: str, most: int = 28) -> str:
    """``name`` with at most ``most`` characters."""
    name = printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"
