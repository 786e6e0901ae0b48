"""Pseudo-stems: channels that a mix is divided into without knowing its instruments.

``harmonic_percussive`` (what lasts and what is struck), ``pseudo_stems`` (a recording → a channel per stem, in blocks).
"""
