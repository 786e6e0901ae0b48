"""Grids for ``dora grid``: sets of runs that belong together."""
