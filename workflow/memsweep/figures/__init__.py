"""Figures, one module each, by kind of study, and their shared style: touching one redraws that one.

They import tables, names, and from `analysis`, `theory` and `metrics` what a drawn line needs; they estimate
nothing, and nothing but the command line and `report.comparison` imports them.
"""
