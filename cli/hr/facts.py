"""People as single facts for `POST /v1/tenants/{tenant}/hr-events`: the demo tells a company's story day by day, as an HR system does
that sends each change when it happens. Imports of files send whole timelines (`cli/hr/reports.py`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from cli.hr.company import BadRow, Company, Person
from cli.rest import Rest
from shared.schemas.hr_v1 import HrFact, PersonChanged, PersonHired, PersonLeft
from shared.schemas.registry import type_of

CHUNK_EVENTS = 250  # about 70 KB, well under the 1 MB that a request may have


def hired_on(company: Company, day: date) -> list[HrFact]:
    """Everybody who is employed on that day, hired with effect from it, in the department they are in by then."""
    return [_hire(person, day) for person in company.people if person.employed_on(day)]


def changes_after(company: Company, day: date, until: date | None = None) -> list[HrFact]:
    """Return the hires, moves and leaves after that day, in order of time. `hired_on` covers the days up to `day`."""
    return [fact for fact in history(company) if day < fact.effective_date and (until is None or fact.effective_date <= until)]


def history(company: Company) -> list[HrFact]:
    """Everything the files say, in order of time; of one day in order of hire date, then id."""
    ordered = [(fact.effective_date, person.order, fact.sequence, fact) for person in company.people for fact in _facts(person)]
    return [fact for *_, fact in sorted(ordered, key=lambda item: item[:3])]


def _facts(person: Person) -> list[HrFact]:
    facts: list[HrFact] = []
    for period in person.periods:
        facts.append(_hire(person, period.first, len(facts)))
        last = period.last or date.max
        facts += [_change(person, e.since, len(facts) + n) for n, e in enumerate(_moves(person, period.first, last))]
        if period.last is not None:
            left = period.last + timedelta(days=1)
            facts.append(PersonLeft(external_id=person.external_id, effective_date=left, sequence=len(facts), reason="left"))
    return facts


def _moves(person: Person, first: date, last: date) -> list[Any]:
    """Entries of that time by which the department changes."""
    within = [entry for entry in person.entries if first < entry.since <= last]
    return [e for e in within if e.values.get("department") != person.values_on(e.since - timedelta(days=1)).get("department")]


def _change(person: Person, day: date, sequence: int) -> PersonChanged:
    department = person.values_on(day).get("department") or ""
    return PersonChanged(external_id=person.external_id, effective_date=day, sequence=sequence, department=department)


def _hire(person: Person, day: date, sequence: int = 0) -> PersonHired:
    values = person.values_on(day)
    return PersonHired(
        external_id=person.external_id,
        effective_date=day,
        sequence=sequence,
        login=values["login"],
        email=values["email"],
        name=values.get("name") or "",
        job_title=values.get("job_title") or "",
        department=values.get("department"),
    )


@dataclass
class Sent:
    accepted: int = 0
    rejected: list[BadRow] = field(default_factory=list)


def event_json(fact: HrFact) -> dict[str, Any]:
    """As the REST endpoint takes it: the type's last word, and only the fields that are given."""
    return {"type": type_of(type(fact)).rsplit(".", 1)[1], **fact.model_dump(mode="json", exclude_unset=True)}


async def send(rest: Rest, tenant: str, source: str, facts: Sequence[HrFact], chunk_events: int = CHUNK_EVENTS) -> Sent:
    """Send the facts in chunks, in order. users derives each event's id from its content, so sending the same again changes nothing."""
    sent = Sent()
    for begin in range(0, len(facts), chunk_events):
        chunk = facts[begin : begin + chunk_events]
        body = {"source": source, "events": [event_json(fact) for fact in chunk]}
        answer = await rest.post("users", f"/v1/tenants/{tenant}/hr-events", body)
        sent.accepted += answer["accepted"]
        for refused in answer["rejected"]:
            person = chunk[refused["index"]].external_id
            sent.rejected.append(BadRow("", 0, f"{person}: {words(refused['errors'])}", person))
    return sent


def words(errors: str | Sequence[Mapping[str, Any] | str]) -> str:
    """The fields of a refusal and what is expected of each."""
    if isinstance(errors, str):
        return errors
    return "; ".join(f"{e.get('field')}: {e.get('expected') or e.get('detail')}" if isinstance(e, Mapping) else str(e) for e in errors)
