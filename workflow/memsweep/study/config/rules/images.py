"""Rules of the data: what a study asks for and what its dataset has."""

from __future__ import annotations

from collections.abc import Iterator

from ....base.errors import UserError
from ..asked import Asked

# Values of an image (64x64 grey, or 36x36 RGB) up to which its full covariance is a matter of minutes.
LARGEST_SURROGATE = 4096


def there_are_images_to_train_on(asked: Asked) -> Iterator[str]:
    """The data are there, and more than are held out."""
    held_out = asked.config["dataset"]["test_images"]
    try:
        _ = asked.available
    except UserError as error:
        # The catalogue does not know who wrote the number that it found
        yield str(error).replace(f"dataset.test_images: found {held_out}", asked.found("dataset.test_images"))


def surrogates_take_minutes(asked: Asked) -> Iterator[str]:
    """Gaussians have full covariances, which images must not be too large for."""
    facts = asked.facts
    values = facts.channels * facts.height * facts.width
    if asked.config["evaluation"]["surrogates"] and values > LARGEST_SURROGATE:
        yield (
            f"{asked.found('evaluation.surrogates')} for images of {values} values; "
            f"accepted is [] beyond {LARGEST_SURROGATE} values, where full covariances take too long"
        )
