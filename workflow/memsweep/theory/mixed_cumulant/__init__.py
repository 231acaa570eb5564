"""The mixed cumulant model: when a denoiser learns what pairs of pixels say, and when what four of them say."""
