"""Who learns it: the networks, which know images, times and labels, and no process.

Of memsweep it imports `base` alone. It decides trajectories: its numbers are those of `training.version`.
"""
