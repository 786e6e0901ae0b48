"""The stems of songs, read in all their file layouts: one channel per stem, one file per stem, ``.stem.mp4``.

``tracks`` (what a track is, and splits), ``reading`` (a part of a track, by one seek; a whole song), ``summing`` (a song whose stems are
sums of several files), ``headers`` (what every file of a folder holds), ``songs`` (which files are one song's, by their names, and when
channels are stems), ``finding`` (the tracks of a folder, and what cannot be used).
"""
