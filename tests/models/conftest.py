"""What tests of several kinds of network observe."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each attention: the last strides of q, k and v, and 1 where torch would take its kernel of last resort."""
    seen: list[int] = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def observed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        seen.extend(each.stride(-1) for each in (q, k, v))
        seen.append(int(torch._fused_sdp_choice(q, k, v) == 0))  # 0 is the kernel of last resort
        return attend(q, k, v)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", observed)
    return seen
