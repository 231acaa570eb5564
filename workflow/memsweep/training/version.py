"""The version of the code that trajectories depend on: runs of another version are trained anew.

Golden trajectories hold the numbers of a version (``tests/training/test_golden.py``). Whoever means to change them
raises it and runs ``python tests/training/golden.py``; an option that is off by default changes none, and needs no new
version.
"""

TRAINING_VERSION = "1"
