"""Neural encoders of others, each described by a card (``card``, ``cards/``), with weights that are converted once (``weights``).

``encoder`` is their base class. One module per family (``musicnn``, ``choi``, …) has its front-end; ``nets/`` has the networks that no
library has. Torch is imported with the first clip only.
"""
