"""What a score on a dataset could owe to something else than the music: shared artists, duplicate audio, missing labels.

``audit`` is the stage and its file ``audit.json``; ``measurements`` measures every WAV once; ``fingerprints`` finds pairs that sound alike;
``duplicates`` and ``splits`` compare the splits by sound, labels and artists; ``findings`` puts an audit into a table and sentences.
"""
