"""A user's own folder of audio with a table of labels, as a dataset.

``table`` reads the table as text; ``columns`` decides what a column of labels holds; ``labels`` which columns are labels and which tasks
they make, and describes the result; ``matching`` finds the audio file and the split of each row; ``dataset`` puts them together.
"""
