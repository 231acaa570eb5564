"""Figures of a study of the mixed cumulant model."""
