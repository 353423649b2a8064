"""docs/examples/first_token_mask.py: which tokens count."""

import numpy as np

from iterpref.config import MaskConfig
from iterpref.data.masking import Side, mask_weights
from iterpref.data.tokenise import Tokens


def test_of_each_run_of_wrong_tokens_the_first_counts() -> None:
    focal = np.array([0, 1, 1, 0, 1, 0], np.uint8)
    edges = np.arange(6, dtype=np.int32)
    side = Side("abcde", Tokens(edges[:5], edges[:5], edges[1:]), focal, (0,), MaskConfig())
    assert mask_weights("first_token", side).tolist() == [0, 1, 0, 0, 1, 0]
