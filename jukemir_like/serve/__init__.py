"""``jukemir-like serve``: which stem of one's own library fits a mix, asked and heard in a browser of this machine.

``refusals`` (what is answered with an error, and by which status), ``decoding`` (mixes, in a process of its own), ``catalogue`` (a library
that may change), ``hearing`` (sounds of its stems), ``room`` (mixes and questions), ``web`` (the page), ``patience`` (how long a connection
is waited for), ``server`` (HTTP).
"""
