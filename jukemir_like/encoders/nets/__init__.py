"""Networks that no library has, in torch, with the conversion of their published weights.

``musicnn``, ``choi``, ``clmr``, ``crepe``, Jukebox in three modules (``jukebox_vqvae``, ``jukebox_prior``, ``jukebox_conversion``), and
``conformer``, which MuQ and MusicFM have. ``pretrained`` has those of the library transformers.
"""
