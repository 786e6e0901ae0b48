"""Vectors from elsewhere: published ones, and packs, in which vectors move from one cache to another.

origin: where vectors that were not computed here come from, kept beside them · taking_over: from an archive into the cache · published: the
vectors that were published with jukemir · card: what a pack says of itself · packing: vectors of the cache → a pack · reading: a pack →
checked vectors · obtaining: what ``download --representation`` does.
"""
