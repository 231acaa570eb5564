"""Kernels of a GPU that do in one pass what torch does in several; they need the compiler Triton.

`fused_norm` is a group normalisation with all that follows it up to the next convolution, `biased_sum` the end of a
residual block, `joined` the channels of two images side by side, and `biased` brings the gradient of a bias. They agree
with torch's own operations in Triton's interpreter, which runs them on a CPU.
"""

from .channels import biased, biased_sum, joined
from .norm import fused_norm

__all__ = ["biased", "biased_sum", "fused_norm", "joined"]
