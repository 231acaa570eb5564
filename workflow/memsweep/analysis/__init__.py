"""What runs say: their curves, onsets of memorisation, departures, peaks and scaling, beside the published ones.

It imports `metrics`, `training` and what comes before them, never `jobs`. It computes tables; it draws nothing.
"""
