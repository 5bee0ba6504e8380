"""Queries of what goes out: gatherings of notices, and the mails made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from pydantic import TypeAdapter

from services.notifier.domain.buying import Buying, Plan, buying_of
from services.notifier.domain.notifications import Audience, Kind, Notice, Stream
from services.notifier.email.rendering import Names, Recipient, Rendered, Tenant
from services.notifier.store.recipients import rows
from shared.database import UnitOfWork

_PLAN = TypeAdapter(Plan)
NOTICES_MAX = 10_000  # of one mail, whose tables show fewer still; an import of a large company makes many times that at once

# ---------------------------------------------------------------------------------------------------------------- starts

_START = "INSERT INTO starts (mark_at) VALUES ($1) ON CONFLICT DO NOTHING"
_STARTED = "SELECT mark_at, republished_at FROM starts"
_REPUBLISHED = "UPDATE starts SET republished_at = $1"


async def start(uow: UnitOfWork, now: datetime) -> tuple[datetime, bool]:
    """(the first start of this database, whether users has been asked to tell everything again)."""
    await uow.connection.exec_driver_sql(_START, (now,))
    ((mark, republished),) = await rows(uow, _STARTED)
    return mark, republished is not None


async def mark_republished(uow: UnitOfWork, now: datetime) -> None:
    await uow.connection.exec_driver_sql(_REPUBLISHED, (now,))


# ------------------------------------------------------------------------------------------------------------- gathering

_FOUND = """
UPDATE notices AS n SET state = 'gathering', waiting_since = NULL FROM people AS p
WHERE n.state = 'waiting' AND p.tenant_id = n.tenant_id AND p.user_id = n.user_id
"""
_NOW_OF = "CASE WHEN t.clock = 'test' THEN coalesce(c.at, '-infinity') ELSE $1 END"
_OVERDUE = f"""
UPDATE notices AS n SET state = 'gathering', waiting_since = NULL, audience = 'administrators', stream = 'undelivered'
FROM tenants AS t LEFT JOIN tenant_clocks AS c ON c.tenant_id = t.tenant_id
WHERE n.state = 'waiting' AND t.tenant_id = n.tenant_id AND n.waiting_since + $2::interval <= {_NOW_OF}
"""  # noqa: S608 - constants
# Whose tenant is not known yet is nobody's mail: such notices stay until the tenant's event is read.
_DUE = f"""
SELECT n.tenant_id, n.audience, n.stream, n.user_id, {_NOW_OF.replace("$1", "$1::timestamptz")} AS now
FROM (
    SELECT tenant_id, audience, stream, CASE WHEN audience = 'person' THEN user_id END AS user_id, min(seq) AS first
    FROM notices WHERE state = 'gathering'
    GROUP BY 1, 2, 3, 4 HAVING max(noticed_at) <= $2 OR min(noticed_at) <= $3
) AS n
JOIN tenants AS t ON t.tenant_id = n.tenant_id LEFT JOIN tenant_clocks AS c ON c.tenant_id = t.tenant_id
ORDER BY n.first LIMIT $4
"""  # noqa: S608 - constants
_NOTICES = """
SELECT key, audience, stream, kind, at, user_id, module, data FROM notices
WHERE tenant_id = $1 AND state = 'gathering' AND audience = $2 AND stream = $3 AND ($4::text IS NULL OR user_id = $4)
ORDER BY seq LIMIT $5
"""
_TENANT = "SELECT tenant_id, name, time_zone, locale, contact_email, support_contact FROM tenants WHERE tenant_id = $1"
_PERSON = "SELECT email, name, user_id, status FROM people WHERE tenant_id = $1 AND user_id = $2"
_ADMINISTRATORS = """
SELECT email, name, user_id FROM people WHERE tenant_id = $1 AND administrator AND status <> 'left' ORDER BY name, user_id
"""
_PEOPLE = "SELECT user_id, coalesce(nullif(name, ''), email) FROM people WHERE tenant_id = $1 AND user_id = ANY($2)"
_MODULES = "SELECT module, name FROM modules"
_QUOTES = "SELECT quote_id, terms FROM quotes WHERE tenant_id = $1 AND quote_id = ANY($2)"
_PLANS = "SELECT plan, facts FROM plans"
_SUBSCRIPTION = "SELECT plan, term FROM subscriptions WHERE tenant_id = $1"
_OPEN_POOLS = "SELECT module, base FROM open_pools WHERE tenant_id = $1"
_SETTLE = "UPDATE notices SET state = $3, waiting_since = $4 WHERE tenant_id = $1 AND key = ANY($2)"


@dataclass(frozen=True, slots=True)
class Gathering:
    """The notices for one receiver that are due."""

    tenant: str
    audience: Audience
    stream: Stream
    user: str | None
    now: datetime  # the tenant's time


async def wake_waiting(uow: UnitOfWork, now: datetime, longest: timedelta) -> None:
    """Notices whose person has become known go on; those that waited too long go to the administrators."""
    await uow.connection.exec_driver_sql(_FOUND)
    await uow.connection.exec_driver_sql(_OVERDUE, (now, longest))


async def due(uow: UnitOfWork, now: datetime, quiet: timedelta, longest: timedelta, limit: int) -> list[Gathering]:
    """Of all tenants, the oldest first: a large import of one holds up nobody who was before it. Wall time; a gathering is due when
    nothing new came for `quiet`, or `longest` after its first."""
    found = await rows(uow, _DUE, now, now - quiet, now - longest, limit)
    return [Gathering(tenant, Audience(audience), Stream(stream), user, at) for tenant, audience, stream, user, at in found]


async def notices_of(uow: UnitOfWork, gathering: Gathering) -> list[Notice]:
    """The first of them in the order of their events; what is beyond the most that one mail tells of makes the next one."""
    found = await rows(uow, _NOTICES, gathering.tenant, gathering.audience, gathering.stream, gathering.user, NOTICES_MAX)
    return [
        Notice(key, Audience(audience), Stream(stream), Kind(kind), at, user, module, data)
        for key, audience, stream, kind, at, user, module, data in found
    ]


async def settle_notices(
    uow: UnitOfWork, tenant: str, notices: Sequence[Notice], state: str, waiting_since: datetime | None = None
) -> None:
    await uow.connection.exec_driver_sql(_SETTLE, (tenant, [notice.key for notice in notices], state, waiting_since))


async def tenant_of(uow: UnitOfWork, tenant: str) -> Tenant | None:
    found = await rows(uow, _TENANT, tenant)
    return Tenant(*found[0]) if found else None


async def person(uow: UnitOfWork, tenant: str, user: str | None) -> tuple[Recipient, str] | None:
    """(address, status) of a person; None: not known yet."""
    found = await rows(uow, _PERSON, tenant, user)
    return (Recipient(*found[0][:3]), found[0][3]) if found else None


async def names_for(uow: UnitOfWork, tenant: str, notices: Sequence[Notice]) -> Names:
    """What the ids in these notices are called, and who administers the tenant."""
    users = {notice.user for notice in notices if notice.user}
    users |= {user for notice in notices for user in notice.data.get("would_flag", ())}
    users |= {notice.data["actor"]["id"] for notice in notices if "actor" in notice.data}
    quotes = {notice.data["quote"] for notice in notices if notice.data.get("quote")}
    pools = {row[0]: bool(row[1]) for row in await rows(uow, _OPEN_POOLS, tenant)}
    people = await rows(uow, _PEOPLE, tenant, list(users)) if users else ()
    terms = await rows(uow, _QUOTES, tenant, list(quotes)) if quotes else ()
    return Names(
        people={row[0]: row[1] for row in people},
        modules={row[0]: row[1] for row in await rows(uow, _MODULES)},
        administrators=[Recipient(*row) for row in await rows(uow, _ADMINISTRATORS, tenant)],
        quotes={row[0]: row[1] for row in terms},
        buying=await _buying(uow, tenant, pools),
        pools=pools,
    )


async def _buying(uow: UnitOfWork, tenant: str, pools: Mapping[str, bool]) -> Buying:
    found = await rows(uow, _SUBSCRIPTION, tenant)
    if not found:
        return Buying()
    ((plan, term),) = found
    return buying_of(plan, term, [_PLAN.validate_python({"plan": name} | facts) for name, facts in await rows(uow, _PLANS)], pools)


# ----------------------------------------------------------------------------------------------------------------- mails

_QUEUE = """
INSERT INTO mails (tenant_id, mail_id, stream, user_id, recipient, recipient_name, subject, body_text, body_html, invoices, notices, at,
                   state, error, next_attempt_at, queued_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14, $15, $15) ON CONFLICT DO NOTHING
"""
_ORPHANS = "UPDATE mails SET state = 'queued' WHERE state = 'sending'"
_FORGET_WORDS = """
UPDATE mails SET body_text = '', body_html = '' WHERE state IN ('sent', 'failed') AND queued_at < $1 AND body_html <> ''
"""
_FORGET_NOTICES = "DELETE FROM notices WHERE state IN ('mailed', 'dropped') AND noticed_at < $1"
# Committed before the first byte goes to the mail server: what is found in this state at a start may have been sent.
_CLAIM = """
UPDATE mails SET state = 'sending', attempts = attempts + 1
WHERE (tenant_id, mail_id) IN (
    SELECT tenant_id, mail_id FROM mails WHERE state = 'queued' AND next_attempt_at <= $1 ORDER BY next_attempt_at, seq LIMIT $2
)
RETURNING tenant_id, mail_id, recipient, recipient_name, subject, body_text, body_html, invoices, attempts, queued_at
"""
_SENT = "UPDATE mails SET state = 'sent', sent_at = $3, error = NULL WHERE tenant_id = $1 AND mail_id = $2"
_LATER = "UPDATE mails SET state = 'queued', next_attempt_at = $3, error = $4 WHERE tenant_id = $1 AND mail_id = $2"
_UNTRIED = "UPDATE mails SET state = 'queued', attempts = attempts - 1, error = $3 WHERE tenant_id = $1 AND mail_id = $2"
_FAILED = "UPDATE mails SET state = 'failed', error = $3 WHERE tenant_id = $1 AND mail_id = $2"


@dataclass(frozen=True, slots=True)
class Mail:
    tenant: str
    mail: str
    recipient: str
    recipient_name: str
    subject: str
    text: str
    html: str
    invoices: list[dict[str, str]]
    attempts: int  # this one included
    queued_at: datetime


async def queue(
    uow: UnitOfWork,
    mail: str,
    gathering: Gathering,
    recipient: Recipient,
    rendered: Rendered,
    *,
    invoices: Sequence[dict[str, str]],
    notices: int,
    now: datetime,
    error: str | None = None,
) -> None:
    """`now` is wall time. With `error` the mail is kept as failed, to be seen."""
    values = (
        gathering.tenant,
        mail,
        gathering.stream,
        recipient.user,
        recipient.email,
        recipient.name,
        rendered.subject,
        rendered.text,
        rendered.html,
        orjson.dumps(list(invoices)).decode(),
        notices,
        gathering.now,
        "failed" if error else "queued",
        error,
        now,
    )
    await uow.connection.exec_driver_sql(_QUEUE, values)


async def requeue_orphans(uow: UnitOfWork) -> int:
    """Mails that a sender had in hand when it died. Only for the one who holds the sender's lock."""
    return (await uow.connection.exec_driver_sql(_ORPHANS)).rowcount


async def forget(uow: UnitOfWork, before: datetime) -> None:
    """Names and addresses of long ago: the words of mails that went out, and the notices that they were made of. That they went stays."""
    await uow.connection.exec_driver_sql(_FORGET_WORDS, (before,))
    await uow.connection.exec_driver_sql(_FORGET_NOTICES, (before,))


async def claim(uow: UnitOfWork, now: datetime, limit: int) -> list[Mail]:
    return [Mail(*row) for row in await rows(uow, _CLAIM, now, limit)]


async def mark_sent(uow: UnitOfWork, mail: Mail, now: datetime) -> None:
    await uow.connection.exec_driver_sql(_SENT, (mail.tenant, mail.mail, now))


async def mark_later(uow: UnitOfWork, mail: Mail, next_attempt_at: datetime, error: str) -> None:
    await uow.connection.exec_driver_sql(_LATER, (mail.tenant, mail.mail, next_attempt_at, error))


async def mark_untried(uow: UnitOfWork, mail: Mail, error: str) -> None:
    """Claimed, and then there was no connection to try it on."""
    await uow.connection.exec_driver_sql(_UNTRIED, (mail.tenant, mail.mail, error))


async def mark_failed(uow: UnitOfWork, mail: Mail, error: str) -> None:
    await uow.connection.exec_driver_sql(_FAILED, (mail.tenant, mail.mail, error))
