"""Kernels of a GPU that do in one pass what torch does in several; they need the compiler Triton.

`fused_norm` is a group normalisation with all that follows it up to the next convolution, `biased_sum` the end of a
residual block. They agree with torch's own operations in Triton's interpreter, which runs them on a CPU.
"""

from .norm import fused_norm
from .total import biased_sum

__all__ = ["biased_sum", "fused_norm"]
