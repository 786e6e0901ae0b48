"""synthband: the embedded dataset. Songs are composed by rules from a seed and rendered with sampled instruments; nothing is downloaded.

``artist`` says who plays song i; ``plan`` sets its tempo, form and chords from the tables of ``genres`` and ``harmony``; ``bass``,
``drums``, ``accompaniment`` and ``melody`` write the stems as notes; ``song`` puts them together and performs them. ``labels`` answers the
questions, ``rendering`` makes the sound, ``generation`` fills a folder and reads it as a dataset. ``seeding``: all random choices.
"""
