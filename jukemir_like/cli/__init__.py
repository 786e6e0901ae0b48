"""The command line ``jukemir-like``: one command per stage; heavy imports happen inside the commands, so that ``--help`` is quick.

``program`` has the group of all commands, exit codes and signals, ``options`` what several commands share. The commands are in ``data``
(download, pack, process, audit), ``listing`` (list), ``stemjepa`` (train, convert), ``retrieval`` (retrieve, evaluate-retrieval),
``serve``, ``representations`` (extract, probe, report) and ``launch`` (commands, conform; and what ``--docker`` does).
"""

from jukemir_like.cli.program import cli, main

__all__ = ["cli", "main"]
