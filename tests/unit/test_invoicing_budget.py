"""The caps that keep expansions within the monthly budget."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.invoicing.domain.budget import Expandable, budget_caps, following_month, month_of

POOLS = st.lists(
    st.builds(
        Expandable,
        module=st.sampled_from(["a", "b", "c", "d"]),
        licences=st.integers(0, 40),
        own_cap=st.integers(0, 60),
        sent_cap=st.integers(0, 60),
        price_minor=st.sampled_from([0, 1, 700, 1200]),
    ),
    max_size=4,
    unique_by=lambda pool: pool.module,
)


@given(POOLS, st.integers(-100, 50_000), st.data())
def test_expansions_up_to_the_caps_never_exceed_what_is_left(pools: list[Expandable], left: int, data: st.DataObject) -> None:
    caps = budget_caps(left, pools)
    by_module = {pool.module: pool for pool in pools}
    spent = sum(max(cap - by_module[module].licences, 0) * by_module[module].price_minor for module, cap in caps.items())
    assert spent <= max(left, 0)
    assert all(cap <= by_module[module].own_cap for module, cap in caps.items())
    # Nothing is left that would pay for one more licence which a pool wants.
    short = [pool for pool in pools if caps[pool.module] < pool.own_cap and pool.licences < pool.own_cap]
    assert all(pool.price_minor > max(left, 0) - spent for pool in short)
    # Expansions within the caps change no cap of pools that still have room: seats needs no command for them.
    grown = [replace(pool, sent_cap=caps[pool.module]) for pool in pools]
    more = {pool.module: data.draw(st.integers(0, max(pool.room - 1, 0))) for pool in grown}
    cost = sum(more[pool.module] * pool.price_minor for pool in pools)
    after = [replace(pool, licences=pool.licences + more[pool.module]) for pool in grown]
    if not any(pool.starves for pool in after):
        assert budget_caps(left - cost, after) == caps


def test_a_pool_at_its_cap_gets_what_others_do_not_use() -> None:
    pools = [Expandable("a", 10, 100, 10, 1000), Expandable("b", 10, 100, 10, 1000)]
    caps = budget_caps(10_000, pools)
    assert caps == {"a": 15, "b": 15}
    used_up = [Expandable("a", 15, 100, 15, 1000), Expandable("b", 10, 100, 15, 1000)]
    assert budget_caps(5000, used_up) == {"a": 18, "b": 12}


def test_a_budget_belongs_to_a_calendar_month() -> None:
    assert (month_of(date(2013, 12, 31)), following_month(date(2013, 12, 31))) == (date(2013, 12, 1), date(2014, 1, 1))
    assert following_month(date(2013, 11, 1)) == date(2013, 12, 1)
