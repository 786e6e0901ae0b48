"""From declarations to verified files in the cache: datasets today, and whatever else is declared in the same way.

``declarations`` says what is declared, ``asset_folder`` where it lies in the cache and which of it is verified. ``download`` is a whole
download, ``acquisition`` one asset of it: from its sources (``retries``, ``http``, ``partial_files``) or from a user's own copy
(``own_copies``). ``verification``, ``archives`` and ``unpacking`` deal with files that have arrived, ``summary`` with what is printed.
How to use it: docs/datasets.md.
"""
