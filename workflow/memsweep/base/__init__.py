"""The ground, which knows nothing of the subject: errors, files, devices, signals, a stage's settings, and which
code a result rests on.

It imports nothing else of memsweep. It carries no numbers: a change here makes nothing stale.
"""
