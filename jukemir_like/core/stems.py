"""The names of the four usual stems of a song. By themselves, so that a configuration can name them without importing NumPy."""

STEMS = ("bass", "drums", "other", "vocals")
"""The stems of MUSDB18 and of ``.stem.mp4``, in the order in which channels are taken for them where nothing says another."""
