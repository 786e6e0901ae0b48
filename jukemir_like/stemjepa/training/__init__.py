"""Trains a Stem-JEPA, on one processor or many devices, and watches it learn.

The room, in the order in which its modules import one another::

    settings      what a run is told
    schedule      learning rate, phase and τ at every step, in closed form
    monitors      is it collapsing?
    places        which devices, and a process for each
    interruption  a signal stops a run between two steps
    state         full state in a file, to go on from
    logs          the run's table, TensorBoard, Weights & Biases
    module        losses, optimiser and teacher, for Lightning
    feeding       tracks → batches
    watching      what happens between steps: log, validate, save, stop
    page          the run in one picture and one table
    run           all of it: settings and a folder in, weights out
    composing     settings from configuration files and overrides
    experiment    the same under Dora
    command       the same as ``jukemir-like train``

Importing ``module`` or ``run`` imports Lightning, which takes seconds.
"""
