"""The planted frame of a study of feature learning: what its images, and the check of its config, have to know."""

FRAME = 2
"""Width of the frame in pixels; it is laid around the image and hides none of it."""
