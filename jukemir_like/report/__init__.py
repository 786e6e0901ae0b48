"""From scores to the results page ``report/index.html``, one self-contained file, with its tables beside it.

``report`` is the stage; ``page`` (with ``page.html``) fills the template; ``plots`` draws; ``questions`` groups runs and compares them;
``published`` holds the results of the paper; ``datasets`` and ``retrieval`` are sections of the page; ``problems`` lists damaged files,
unfinished runs and outdated scores; ``formatting`` has numbers as text.
"""
