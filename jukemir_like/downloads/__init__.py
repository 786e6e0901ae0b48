"""From declarations to verified files in the cache: datasets today, and all that is declared in the same way.

``declarations`` says what is declared, ``verification`` where it lies in the cache, whether it is what is declared, and which of it is
known to be. ``download`` is a whole download, ``acquisition`` one asset of it: from its sources (``retries``, ``http``, ``partial_files``)
or from a user's own copy (``own_copies``). ``archives`` and ``unpacking`` deal with archives that have arrived, ``summary`` with what is
printed. How to use it: docs/datasets.md.
"""
