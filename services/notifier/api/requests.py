"""The query parameters of the notifier's routes."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from services.notifier.api.dependencies import LogReader, Name
from services.notifier.store.action_log import LogFilter
from shared.web.rest import Moment


async def log_filter(
    principal: LogReader,
    user: Name = None,
    type: Annotated[  # noqa: A002 - the contract's own name
        list[Annotated[str, Field(max_length=100)]] | None,
        Query(max_length=30, description="Type of the entry, for example seat_flagged, person_added or licences_added. Repeatable."),
    ] = None,
    actor: Annotated[
        str | None,
        Query(
            max_length=100,
            description="ID of the actor. `rules` selects what happened without an actor, for example the end of a grace period.",
        ),
    ] = None,
    module: Name = None,
    since: Annotated[Moment | None, Query(alias="from", description="Start of the time range in the tenant's time (inclusive).")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="End of the time range in the tenant's time (exclusive).")] = None,
) -> LogFilter:
    """Return the filter that the query parameters describe."""
    view = None if principal.departments is None else tuple(principal.departments)
    return LogFilter(
        user, tuple(dict.fromkeys(type or ())), module, actor, since, until, view, principal.subject if view is not None else None
    )
