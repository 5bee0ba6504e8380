"""What the notifier's events write. What every event of an import writes is deferred, and so written in bulk (`UnitOfWork.defer`)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, column, exists, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.action_log import Entry
from services.notifier.domain.notifications import Notice
from services.notifier.domain.pool_numbers import PoolNumbers
from shared.database import UnitOfWork
from shared.messaging import Message
from shared.schemas import invoicing_v1, seats_v1, users_v1
from shared.schemas.base import Actor

_TENANT = """
INSERT INTO tenants (tenant_id, name, time_zone, locale, clock, contact_email, support_contact, read_to)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone, locale = excluded.locale,
    clock = excluded.clock, contact_email = excluded.contact_email, support_contact = excluded.support_contact, read_to = excluded.read_to
WHERE tenants.read_to < excluded.read_to
"""
_CLOCK = """
INSERT INTO tenant_clocks (tenant_id, clock, at) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET at = greatest(tenant_clocks.at, excluded.at)
"""
_LOGGED_TENANTS = table("action_log_tenants", column("tenant_id"))
_LOGGED_TENANT = insert(_LOGGED_TENANTS).on_conflict_do_nothing()
_IS_LOGGED = select(exists().where(_LOGGED_TENANTS.c.tenant_id == bindparam("tenant")))
_MODULE = "INSERT INTO modules (module, name) VALUES ($1, $2) ON CONFLICT (module) DO UPDATE SET name = excluded.name"
_QUOTE = "INSERT INTO quotes (tenant_id, quote_id, terms) VALUES ($1, $2, $3::jsonb) ON CONFLICT DO NOTHING"
_PLAN = """
INSERT INTO plans (plan, version, facts) VALUES ($1, $2, $3::jsonb)
ON CONFLICT (plan) DO UPDATE SET version = excluded.version, facts = excluded.facts WHERE plans.version < excluded.version
"""
_SUBSCRIPTION = """
INSERT INTO subscriptions (tenant_id, plan, term) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET plan = excluded.plan, term = excluded.term
"""
_POOL_OPENED = "INSERT INTO open_pools (tenant_id, module, base) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_POOL_CLOSED = "DELETE FROM open_pools WHERE tenant_id = $1 AND module = $2"
_REJECTED = """
INSERT INTO rejected_commands (event_id, tenant_id, type, command, partition, command_offset, reason, detail, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""
# A batch may hold a person twice: the newest stands, and so does what was stored from a newer event.
_PEOPLE = """
INSERT INTO people (tenant_id, user_id, email, name, administrator, status, version)
SELECT DISTINCT ON (tenant_id, user_id) tenant_id, user_id, email, name, administrator, status, version
FROM jsonb_to_recordset($1::jsonb) AS r (tenant_id text, user_id text, email text, name text, administrator boolean, status text,
                                         version bigint)
ORDER BY tenant_id, user_id, version DESC
ON CONFLICT (tenant_id, user_id) DO UPDATE SET email = excluded.email, name = excluded.name, administrator = excluded.administrator,
    status = excluded.status, version = excluded.version
WHERE people.version <= excluded.version
"""
_NOTICES = """
INSERT INTO notices (tenant_id, key, audience, stream, kind, user_id, module, at, data, noticed_at)
SELECT tenant_id, key, audience, stream, kind, user_id, module, at, data, noticed_at
FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (
         tenant_id text, key text, audience text, stream text, kind text, user_id text, module text, at timestamptz, data jsonb,
         noticed_at timestamptz))
     WITH ORDINALITY AS r (tenant_id, key, audience, stream, kind, user_id, module, at, data, noticed_at, place)
ORDER BY place
ON CONFLICT DO NOTHING
"""
# `old` is what the entry before of the same subject says, in this batch or in the log: the log is written in the order of the topic.
_ACTIONS = """
INSERT INTO actions (tenant_id, event_id, part, at, actor_kind, actor_id, type, event_type, user_id, module, subject, old, new, changes,
                     reason, details, position_partition, position_offset, correlation)
SELECT r.tenant_id, event_id, part, at, actor_kind, actor_id, type, event_type, user_id, module, r.subject,
       coalesce(r.old, r.before, p.new), r.new, changes, reason, details, position_partition, position_offset, correlation
FROM (
    SELECT b.*, CASE WHEN subject IS NOT NULL THEN lag(new) OVER (PARTITION BY tenant_id, subject ORDER BY place) END AS before
    FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (
             tenant_id text, event_id text, part int, at timestamptz, actor_kind text, actor_id text, type text, event_type text,
             user_id text, module text, subject text, old text, new text, only_if_changed boolean, changes jsonb, reason text,
             details jsonb, position_partition int, position_offset bigint, correlation text))
         WITH ORDINALITY AS b (tenant_id, event_id, part, at, actor_kind, actor_id, type, event_type, user_id, module, subject, old, new,
             only_if_changed, changes, reason, details, position_partition, position_offset, correlation, place)
) AS r
LEFT JOIN LATERAL (
    SELECT a.new FROM actions a WHERE r.before IS NULL AND a.tenant_id = r.tenant_id AND a.subject = r.subject ORDER BY a.seq DESC LIMIT 1
) AS p ON true
WHERE NOT (only_if_changed AND coalesce(r.old, r.before, p.new) IS NOT DISTINCT FROM r.new)
ORDER BY place
ON CONFLICT DO NOTHING
"""


_LOGGED = "SELECT EXISTS (SELECT FROM actions WHERE tenant_id = $1 AND event_id = $2)"
_POOL_NUMBERS = "SELECT module, licences, next_period, policies FROM pool_numbers WHERE tenant_id = $1"
_SAVE_POOL_NUMBERS = """
INSERT INTO pool_numbers (tenant_id, module, licences, next_period, policies) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, module) DO UPDATE SET licences = excluded.licences, next_period = excluded.next_period, policies = excluded.policies
"""


async def save_tenant(uow: UnitOfWork, tenant: str, state: users_v1.TenantState, read_to: int) -> None:
    """`read_to` is the event's offset: a dead letter that is retried later does not bring an older state back."""
    values = (tenant, state.name, state.time_zone, state.locale, state.clock, state.contact_email, state.support_contact, read_to)
    await uow.connection.exec_driver_sql(_TENANT, values)


async def save_clock(uow: UnitOfWork, tenant: str, clock: str, at: datetime) -> None:
    await uow.connection.exec_driver_sql(_CLOCK, (tenant, clock, at))


async def save_module(uow: UnitOfWork, module: invoicing_v1.ModuleDefined) -> None:
    await uow.connection.exec_driver_sql(_MODULE, (module.module, module.name))


async def save_plan(uow: UnitOfWork, plan: invoicing_v1.PlanDefined) -> None:
    facts = plan.model_dump_json(include={"name", "currency", "allows_extra_licences", "prices"})
    await uow.connection.exec_driver_sql(_PLAN, (plan.plan, plan.version, facts))


async def save_subscription(uow: UnitOfWork, tenant: str, subscription: invoicing_v1.SubscriptionStarted) -> None:
    await uow.connection.exec_driver_sql(_SUBSCRIPTION, (tenant, subscription.plan, subscription.term))


async def save_pool(uow: UnitOfWork, tenant: str, pool: seats_v1.PoolOpened | seats_v1.PoolClosed) -> None:
    if isinstance(pool, seats_v1.PoolOpened):
        await uow.connection.exec_driver_sql(_POOL_OPENED, (tenant, pool.module, pool.base))
    else:
        await uow.connection.exec_driver_sql(_POOL_CLOSED, (tenant, pool.module))


async def save_quote(uow: UnitOfWork, tenant: str, quote: invoicing_v1.QuoteIssued) -> None:
    """What a purchase's confirmation says of its price."""
    terms = quote.model_dump_json(include={"currency", "net_minor", "tax_minor", "gross_minor", "charge"})
    await uow.connection.exec_driver_sql(_QUOTE, (tenant, quote.quote, terms))


async def save_rejected(uow: UnitOfWork, tenant: str | None, event_id: str, type_: str, event: seats_v1.SeatsEvent, detail: str) -> None:
    position = event.position
    values = (event_id, tenant or "", type_, event.command, position.partition, position.offset, event.reason, detail, event.at)
    await uow.connection.exec_driver_sql(_REJECTED, values)


def save_person(uow: UnitOfWork, tenant: str, person: users_v1.PersonState) -> None:
    row = person.model_dump(include={"email", "name", "administrator", "status", "version"})
    uow.defer(_PEOPLE, row | {"tenant_id": tenant, "user_id": person.user})


def save_notices(uow: UnitOfWork, tenant: str, notices: Sequence[Notice], noticed_at: datetime) -> None:
    for notice in notices:
        row = {
            "tenant_id": tenant,
            "key": notice.key,
            "audience": notice.audience,
            "stream": notice.stream,
            "kind": notice.kind,
            "user_id": notice.user,
            "module": notice.module,
            "at": notice.at,
            "data": notice.data,
            "noticed_at": noticed_at,
        }
        uow.defer(_NOTICES, row)


async def add_logged_tenant(uow: UnitOfWork, tenant: str) -> None:
    await uow.connection.execute(_LOGGED_TENANT, {"tenant_id": tenant})


async def is_logged_tenant(connection: AsyncConnection, tenant: str) -> bool:
    """Has the action log read that this tenant was created or opened?"""
    return bool((await connection.execute(_IS_LOGGED, {"tenant": tenant})).scalar_one())


def save_actions(uow: UnitOfWork, message: Message, entries: Sequence[Entry], *, at: datetime, actor: Actor | None, reason: str) -> None:
    envelope = message.envelope
    position = message.payload.position if isinstance(message.payload, seats_v1.SeatsEvent) else None
    shared: dict[str, Any] = {
        "tenant_id": envelope.tenant,
        "event_id": envelope.id,
        "at": at,
        "actor_kind": actor.kind if actor else None,
        "actor_id": actor.id if actor else None,
        "event_type": envelope.type,
        "reason": reason,
        "position_partition": position.partition if position else None,
        "position_offset": position.offset if position else None,
        "correlation": envelope.correlation or envelope.id,
    }
    for part, entry in enumerate(entries):
        row: Mapping[str, Any] = shared | {
            "part": part,
            "type": entry.type,
            "user_id": entry.user,
            "module": entry.module,
            "subject": entry.subject,
            "old": entry.old,
            "new": entry.new,
            "only_if_changed": entry.only_if_changed,
            "changes": entry.changes,
            "details": entry.details,
        }
        uow.defer(_ACTIONS, row)


async def is_logged(uow: UnitOfWork, tenant: str, event_id: str) -> bool:
    return bool((await rows(uow, _LOGGED, tenant, event_id))[0][0])


async def pool_numbers(uow: UnitOfWork, tenant: str) -> dict[str, PoolNumbers]:
    """As the last entry of the log left them, closed pools included."""
    return {module: PoolNumbers(*numbers) for module, *numbers in await rows(uow, _POOL_NUMBERS, tenant)}


async def save_pool_numbers(uow: UnitOfWork, tenant: str, pools: Mapping[str, PoolNumbers]) -> None:
    for module, numbers in pools.items():
        await uow.connection.exec_driver_sql(_SAVE_POOL_NUMBERS, (tenant, module, *numbers))


async def rows(uow: UnitOfWork, statement: str, *values: object) -> Sequence[Sequence[Any]]:
    return (await uow.connection.exec_driver_sql(statement, values)).all()
