"""What every stage shares. Files: reading (``files``, ``jsonfiles``, ``csvfiles``, ``arrays``), writing (``atomic``), folders (``cache``).
Names of the usual stems: ``stems``.

Work: one function over many inputs (``parallel``, ``progress``), what was done with each (``records``), what is kept and not computed
again (``resumable``).
A command's beginning and end: ``errors`` and exit codes, ``signals``, standard streams (``stdio``), ``processes``.
Statistics: bootstrap over groups (``resampling``).
"""
