"""What upstream HR and identity systems state (`hr.events.v1`).

A source states dated facts about a person, who has an external id there. All facts of one source about one person are a timeline.
`person_reported` replaces the whole timeline, the other types add one fact to it or withdraw one. Facts of the same effective date hold in
the order of `sequence`, then of their arrival on the topic.
"""

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, Strict, model_serializer
from pydantic_core import PydanticCustomError

from shared.schemas.base import ExternalId, Id, Items, OptionalEmail, Payload, Text

PERIODS_MAX = 200
ENTRIES_MAX = 500
VERSION_MAX = 2**63 - 1


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _day(value: object) -> object:
    """Refuse what Pydantic takes for a date as well: seconds since 1970, so that `00000000`, an empty date of some HR systems, would be the
    first day of 1970."""
    if type(value) is date or (isinstance(value, str) and _DATE.fullmatch(value)):
        return value
    raise PydanticCustomError("date_parsing", "Input should be a date in the format YYYY-MM-DD")


# The form is checked before, so the reading may be lax: a strict one takes no text that another validator has seen.
Day = Annotated[date, Strict(False), BeforeValidator(_day)]


class HrFact(Payload):
    external_id: ExternalId
    effective_date: Day  # local to the tenant: from the start of this day on the fact holds
    sequence: int = Field(default=0, ge=0)  # orders facts of one person and day
    fact: Id | None = None  # its id in the timeline: stated again, it is the latest; default: the id of the message


class PersonHired(HrFact):
    """Somebody is hired. Without a login, the person takes no seat; without an e-mail address, the person gets no e-mail."""

    login: Text | None = None
    email: OptionalEmail | None = None
    name: Text = ""
    job_title: Text = ""
    department: Text | None = None
    kind: str = "employee"  # employee | external | service: external and service people take no seat (M6)
    valid_to: Day | None = None


class PersonChanged(HrFact):
    """Only what is given changes. An empty login or e-mail address is withdrawn; an empty department takes the person out of theirs."""

    login: Text | None = None
    email: OptionalEmail | None = None
    name: Text | None = None
    job_title: Text | None = None
    department: Text | None = None
    kind: str | None = None
    valid_to: Day | None = None


class PersonLeft(HrFact):
    reason: Text = ""


class EmploymentPeriod(Payload):
    starts_on: Day
    ends_on: Day | None = None  # the last day of employment; null: open


class DatedAttributes(Payload):
    """What holds from a day on. A field that is absent is not stated: its earlier value stays. A field that is null or empty is withdrawn:
    the person has no login, e-mail address, name, job title, department or last day of the login from then on, and the kind and
    `may_log_in` have their default."""

    since: Day
    login: Text | None = None
    email: OptionalEmail | None = None
    name: Text | None = None
    job_title: Text | None = None
    department: Text | None = None
    kind: str | None = None  # employee (default) | external | service
    valid_to: Day | None = None
    may_log_in: bool | None = None  # default: true
    employee_number: Text | None = None  # by which an identity system knows the person of an HR system

    @model_serializer(mode="wrap")
    def _only_stated(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write only the fields that are stated: null would withdraw the others."""
        content: dict[str, Any] = serialize(self)
        return {name: value for name, value in content.items() if name in self.model_fields_set}


class PersonTimeline(Payload):
    """Everything that a source knows about a person."""

    external_id: ExternalId
    employment: Annotated[Items[EmploymentPeriod], Field(max_length=PERIODS_MAX)]  # none: never employed
    attributes: Annotated[Items[DatedAttributes], Field(max_length=ENTRIES_MAX)]  # of one day: in this order


class PersonReported(PersonTimeline):
    """Everything that the source knows about a person now. It replaces what the source has stated about the person before.

    `version` rises with every report of the source about the person. A report with a version that is not above the last one is ignored.
    """

    version: int = Field(ge=1, le=VERSION_MAX)


class PersonFactWithdrawn(Payload):
    """The source takes back one fact."""

    external_id: ExternalId
    fact: Id  # `fact` of the message that stated it, or that message's id
