"""``python -m jukemir_like`` is ``jukemir-like``."""

from jukemir_like.cli import main

main()
