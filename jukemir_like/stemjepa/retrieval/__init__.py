"""Which stem of a library fits a mix, and how often a network finds the right one.

``embedding`` makes vectors of tracks (queries and candidates), ``metrics`` ranks them in pools and scores the ranks, ``evaluation`` does
both for a folder of stems, with intervals, and ``results`` makes a table and a plot of it (``table``: the file of that table). ``library``
searches a folder of any audio files for what ``queries`` predicts from a mix, also from the mix in other keys (``transposing``).
``tempos`` says how much faster what was found is to be played.
"""
