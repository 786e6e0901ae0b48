"""The names of stems: the four usual ones of a song, and how names of instruments are written where each stem has one of its own.

By themselves, so that a configuration can name them without importing NumPy.
"""

import re

STEMS = ("bass", "drums", "other", "vocals")
"""The stems of MUSDB18 and of ``.stem.mp4``, in the order in which channels are taken for them where nothing says another."""

KINDS = ("usual", "instruments")
"""What the stems of tracks can be: the same for all tracks, as bass, drums, other, vocals; or each track's own instruments."""

_LONGEST = 100  # characters of a name of an instrument


def instrument_name(text: str) -> str:
    """A name of an instrument as data has it, so that two datasets may share it: in lower case, at most 100 characters, a single blank for
    blanks, underscores, slashes and control characters; no dot at its beginning.

    >>> instrument_name("Electric Bass (finger)"), instrument_name(" bowed_strings"), instrument_name("fx/processed sound")
    ('electric bass (finger)', 'bowed strings', 'fx processed sound')
    """
    return re.sub(r"[\s_/\\\x00-\x1f\x7f-\x9f]+", " ", text.casefold()).strip(" .")[:_LONGEST].strip()
