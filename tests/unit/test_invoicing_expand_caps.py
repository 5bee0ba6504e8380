"""The cap up to which seats expands a module is the lowest of the own one and of what else limits it."""

import pytest

from services.invoicing.domain.expand_caps import effective_cap
from shared.schemas.seats_v1 import Policies


@pytest.mark.parametrize(
    ("own", "limits", "cap"),
    [
        (Policies(over_limit="expand", expand_cap=20), [], 20),
        (Policies(over_limit="expand", expand_cap=20), [None, 12, 30], 12),
        (Policies(over_limit="expand", expand_cap=20), [0], 0),
        (Policies(over_limit="expand", expand_cap=20), [-3], 0),
        (Policies(over_limit="flag", expand_cap=20), [5], None),
        (Policies(), [5], None),
    ],
)
def test_the_lowest_limit_of_a_pool_that_expands_is_its_cap(own: Policies, limits: list[int | None], cap: int | None) -> None:
    assert effective_cap(own, limits) == cap
