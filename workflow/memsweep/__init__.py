"""memsweep: sweeps of diffusion models that say when they start to memorise."""

__version__ = "0.1.0"
