"""What can be typed: the commands for people, the stages as commands of the workflow, and their arguments.

It imports `base`, and everything else only when a command runs: `memsweep --help` waits for no library.
"""
