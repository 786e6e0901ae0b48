"""The stems of songs, read in all their file layouts: one channel per stem, one file per stem, ``.stem.mp4``.

``tracks`` (what a track is, and splits), ``names`` (names of files that say which stem they hold), ``reading`` (a part of a track, by one
seek), ``decoding`` (a whole song; and what one cannot seek in, decoded once to a WAV), ``headers`` (what every file of a folder holds),
``songs`` (which files are one song's, and when channels are stems), ``finding`` (the tracks of a folder, and what cannot be used).
"""
