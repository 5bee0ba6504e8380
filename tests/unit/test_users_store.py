"""A person is stored in the row of the same fields, and read as it was stored."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.users.domain.conflicts import Conflict
from services.users.domain.facts import Record
from services.users.domain.merging import Employment, Overrides
from services.users.domain.person import Person, Tenant, with_standing
from services.users.domain.required_modules import Account, Note, Profile, Settings
from services.users.domain.roles import Role
from services.users.store import scim_groups, scim_users
from services.users.store.person_rows import PersonRow, person_of, row_of
from shared.database.row_classes import names_of
from shared.schemas.position import DecisionId

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = Settings(
    {"makers": Profile(("time", "documents", "plans"))},
    {"Makers": "makers"},
    roles={"buyers": Role("Buyers", ("account:buy",))},
    subscribed={"time": (), "documents": ()},
)
TENANT = Tenant("acme", ZoneInfo("UTC"), NOW, SETTINGS, 1)


def test_a_person_is_read_as_it_was_stored() -> None:
    record = Record(True, "ann", "ann@acme.example", "Ann", "Smith", "Makers", valid_to=date(2026, 12, 31))
    account = Account(
        roles=("buyers",), group_roles=("reader",), departments=("Makers", "Sales"), priority=3, hold_until=NOW + timedelta(days=1)
    )
    back = Overrides({"valid_to": date(2026, 12, 31)}, Employment(True, TENANT.today, date(2026, 2, 1)))
    known = with_standing(Person("u1", "hr/acme", "1", NOW, record, account, version=4, revision=3, answered=2, command_id="c"), TENANT)
    failed = Note("command_failed", "…", "fault", DecisionId(1, 20, 3))
    person = replace(known, sent=known.standing.required, not_done=failed, reconsider_on=date(2027, 1, 1), arrival=7, overrides=back)
    person = replace(person, conflict=Conflict("privileged", "email", ("u2", "u3")), separated=("u4",))
    row = row_of(person)
    assert set(row) == set(names_of(PersonRow)), "a field without a value would be stored as null"
    assert person_of(PersonRow(**row), TENANT.today) == person


class Rows(list[Any]):
    def scalar_one(self) -> int:
        return len(self)


class Connection:
    """A connection that notes the cache which each statement uses."""

    def __init__(self) -> None:
        self.caches: list[Any] = []

    async def execute(self, statement: Any, parameters: Any, execution_options: Any = None) -> Rows:
        self.caches.append((execution_options or {}).get("compiled_cache"))
        return Rows()


async def test_filters_that_clients_of_SCIM_invent_do_not_fill_the_cache_of_other_statements() -> None:
    connection: Any = Connection()
    view = scim_users.View("acme", "okta", "scim/okta")
    await scim_users.page(connection, view, [scim_users.S.active], None, -1, 0, 1)
    await scim_groups.page(connection, view, [scim_groups.G.display_name == "x"], 0, 1)
    await scim_groups.count(connection, view, [scim_groups.G.display_name == "x"])
    (cache, *others) = connection.caches
    assert others == [cache] * 2
    assert cache.capacity == scim_users.STATEMENTS_MAX
