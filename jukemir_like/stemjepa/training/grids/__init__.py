"""Grids for ``dora grid``: each module is a set of runs to compare.

``dora grid NAME`` looks for the module NAME here, because ``dora.grid_package`` in ``stemjepa/configs/config.yaml`` names this package.
"""
