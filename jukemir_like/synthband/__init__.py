"""synthband: the embedded dataset. Songs are composed by rules from a seed and rendered with sampled instruments; nothing is downloaded.

``artist`` says who plays song i; ``plan`` sets its tempo, form and chords from the tables of ``genres`` and ``harmony``; ``bass``,
``drums``, ``accompaniment`` and ``melody`` write the stems as notes; ``song`` puts them together and performs them. ``labels`` answers the
questions, ``generation`` fills a folder and reads it as a dataset. ``seeding``: all random choices.

There are two editions (``editions``). The sound of the first is made by ``rendering``; that of the second by ``recording``: soundfonts that
are drawn (``casting``), voices (``singers``, ``singing``), drums (``kits``), timing (``feel``) and a studio (``taste``, ``production``).
"""
