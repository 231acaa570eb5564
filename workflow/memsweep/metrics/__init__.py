"""What samples say: their nearest neighbours, copies, distances between distributions, in several feature spaces.

It imports `data` and what comes before it, never how the samples came about. Changing a metric never retrains.
"""
