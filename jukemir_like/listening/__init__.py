"""A page on which one hears which stem fits: the mix, and each candidate in time with it.

``compress`` (samples → MP3), ``excerpts`` (what is heard of a file, how loud, and its waveform), ``same_track`` (which files belong to the
track of the mix), ``page`` (the data of a page, and the page), ``sounds`` (excerpts as its sounds), ``retrieved`` (a page of what
``retrieve`` found), ``evaluated`` (hits and misses of ``evaluate-retrieval``). ``player.js`` plays and knows nothing of the page,
``page.js`` shows and controls it.
"""
