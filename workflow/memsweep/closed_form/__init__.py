"""What is known without training: the best denoisers of images whose distribution is known, and what they generate.

It imports `training` and what comes before it, never `metrics` or `jobs`. Unlike theirs, its numbers are those of its
code: a change makes what rests on it stale, and trains nothing.
"""
