"""Figures of a study of feature learning."""
