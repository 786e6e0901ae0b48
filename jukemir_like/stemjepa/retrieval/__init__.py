"""Which stem of a library fits a mix, and how often that is right.

In the order in which the modules import one another::

    metrics     ranks, and what is said of them: R@k, normalised rank, area under the recall curve
    embedding   queries and candidates of tracks
    pools       among what a stem is looked for
    evaluation  all of these together: the scores of a network on a folder of stems
    table       the scores as CSV and as text
    plot        and as a picture
    index       what is known of the files of a library, and where that is kept
    library     a folder of audio files as candidates
"""
