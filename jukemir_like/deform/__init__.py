"""The stage ``deform``: a processed dataset → another one, whose test audio is changed in one stated way.

``names`` (what there is, and how it is spelled), ``filters`` (noise, low-pass, reverb), ``mp3``, ``stretching`` (tempo, pitch),
``effects`` (from a name to the function), ``labels`` (which labels follow), ``stage`` (the files).
"""
