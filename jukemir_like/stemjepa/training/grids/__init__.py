"""Grids for ``dora grid``: each module is a set of runs to compare. Hydra finds them by ``dora.grid_package`` in configs/config.yaml."""
