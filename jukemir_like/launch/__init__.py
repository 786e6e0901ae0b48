"""Stages in containers: which image, what it sees of this machine, and a run of it as if the stage ran here.

A representation's image is anyone's and knows two folders by the names of its contract, ``/input`` and ``/output``. All other stages are
our own, and see every folder under the path it has here: messages, a run's settings and a library's index are the same inside and outside.
"""
