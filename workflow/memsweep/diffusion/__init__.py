"""What is learnt: the process between images and noise, the loss, the sampler, and the use of labels.

It imports `base` alone and asks of a network no more than to be a `denoiser.Denoiser`. It decides trajectories:
its numbers are those of `training.version`.
"""
