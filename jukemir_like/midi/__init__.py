"""MIDI files rendered to stems: ``reading`` (notes and controllers), ``soundfonts`` (which there are; one drawn per song), ``synthesiser``
(one instrument → samples), ``rendering`` (a song → a channel per stem).

``stems.csv`` says which instrument is in which of the four usual stems, ``families.csv`` in which of the families of General MIDI.
"""
