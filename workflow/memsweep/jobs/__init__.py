"""What decides no trajectory: how the runs of a pack live beside each other, from their checkpoints to their tables.

It imports `training` and what comes before it. What changes here trains nothing anew; a change
of `packs`, or of `stopping`, writes the tables of packs again.
"""
