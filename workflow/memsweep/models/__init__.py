"""Who learns it: the networks, which know images, times and labels, and no process.

It imports nothing else of memsweep. It decides trajectories: its numbers are those of `training.version`.
"""
