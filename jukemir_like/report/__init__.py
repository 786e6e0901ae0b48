"""From scores to the results page ``report/index.html``, one self-contained file, with its tables beside it.

``report`` is the stage; ``page`` (with ``page.html``, ``page.css`` and ``page.js``) fills the template; ``headline`` is its first table,
``question_section`` what it shows of each task; ``tables`` and ``latex`` are its tables, to look at and to copy; ``plots``, ``lines`` and
``confusions`` draw; ``conclusions`` says below a figure what follows from it; ``fit_facts`` how probes were fitted; ``questions`` groups
runs and compares them; ``published`` holds the results of the paper; ``datasets`` and ``retrieval`` are sections of the page;
``problems`` lists damaged files, unfinished runs and outdated scores; ``formatting`` has numbers as text.
"""
