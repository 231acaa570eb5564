"""Figures, one module each, by kind of study, and their shared style: touching one redraws that one.

They import tables and names; what they show was computed before.
"""
