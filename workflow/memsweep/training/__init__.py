"""What decides a trajectory: the step of a run, and what is evaluated of it.

It imports `data`, `diffusion`, `models` and what comes before them, never how or beside what a run is trained, nor a
metric. Its numbers are those of `version`, which golden trajectories hold.
"""
