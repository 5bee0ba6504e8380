"""Facts of upstream HR and identity systems (`hr.events.v1`). Their order of arrival says nothing: a person's state is the fold of
all facts by (effective_date, sequence, id)."""

from datetime import date

from pydantic import EmailStr, Field

from shared.schemas.base import Id, Payload, Text


class HrFact(Payload):
    external_id: Id  # the person's id in the source
    effective_date: date  # local to the tenant: from the start of this day on the fact holds
    sequence: int = Field(default=0, ge=0)  # orders facts of one person and day


class PersonHired(HrFact):
    login: Text
    email: EmailStr
    name: Text = ""
    job_title: Text = ""
    department: Text | None = None
    kind: str = "employee"  # employee | external | service: external and service people take no seat (M6)
    valid_to: date | None = None


class PersonChanged(HrFact):
    """Only what is given changes; an empty department takes the person out of theirs."""

    login: Text | None = None
    email: EmailStr | None = None
    name: Text | None = None
    job_title: Text | None = None
    department: Text | None = None
    kind: str | None = None
    valid_to: date | None = None


class PersonLeft(HrFact):
    reason: Text = ""
