"""What a refusal says that helps."""

from services.users.store.pools import CountsRow
from services.users.use_cases.licences import Licences, warning
from shared.buying import Buying


def test_A6_a_refusal_of_an_expansion_names_the_monthly_budget() -> None:
    pool = CountsRow("time", licences=3, active=3, flagged=0, held=0, waiting=0, available=0, counted_offset=0, counted_n=0)
    limited = Licences({"time": pool}, Buying(True, "Standard"), {"time": "monthly_budget"})
    text = warning("acme", limited, "time", "expand_cap") or ""
    assert text.startswith("time has 3 licences, and 3 seats are in use. The monthly budget for purchases allows no further expansion")
    assert "monthly budget" not in (warning("acme", limited, "time", "pool_full") or "")
    unlimited = Licences({"time": pool}, Buying(True, "Standard"))
    assert "monthly budget" not in (warning("acme", unlimited, "time", "expand_cap") or "")
