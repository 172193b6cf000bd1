"""What a learner can read of a support; needed where no jax is, as when an archive is ranked."""

from typing import NamedTuple


class Limits(NamedTuple):
    """What a learner can read of a support.

    Attributes:
      slots: width W of the labels that it was built for; None where it takes any.
      longest: the most support records that it reads; None where there is no limit.
      ordered: its answer depends on the order of the support and on the slot of each class.
      inner_products: its answer depends on nothing of the embeddings but their inner products, so
        that it is the same in any coordinates and of any number of them.
    """

    slots: int | None = None
    longest: int | None = None
    ordered: bool = False
    inner_products: bool = False
