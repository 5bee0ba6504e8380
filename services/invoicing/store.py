"""Invoicing's queries on a tenant's rows, the tenant first. What REST alone reads is in `reads.py`, the catalogue in `catalogue.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, column, exists, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.history import Fact
from services.invoicing.domain.quote import Pool
from shared.schemas import registry
from shared.schemas.base import Actor, Payload
from shared.schemas.invoicing_v1 import BillingDetailsChanged, ChargeBooked, InvoiceIssued, QuoteApproved, QuoteIssued, SubscriptionStarted
from shared.schemas.seats_v1 import CommandFailed, CommandRejected, Expected, PoolState


async def rows(c: AsyncConnection, sql: str, /, **values: Any) -> Sequence[RowMapping]:
    return (await c.execute(text(sql), values)).mappings().all()


async def row(c: AsyncConnection, sql: str, /, **values: Any) -> RowMapping | None:
    return (await c.execute(text(sql), values)).mappings().one_or_none()


async def run(c: AsyncConnection, sql: str, /, **values: Any) -> int:
    """Rows touched."""
    return (await c.execute(text(sql), values)).rowcount


async def _insert(c: AsyncConnection, tenant_id: str, table: str, **values: Any) -> None:
    """By column; names of tables and columns are this module's own."""
    values = {"tenant_id": tenant_id} | values
    columns, places = ", ".join(f'"{name}"' for name in values), ", ".join(f":{name}" for name in values)
    await run(c, f"INSERT INTO {table} ({columns}) VALUES ({places})", **values)  # noqa: S608


# -------------------------------------------------------------------------------------------------------------- tenants


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant: str
    name: str | None
    time_zone: str | None  # none: users' event about it has not been read yet
    locale: str
    clock: str | None
    support_contact: str
    opened: bool
    test_time: datetime | None
    advancing_to: datetime | None
    period: str | None


_TENANT_EXISTS = select(exists().select_from(table("tenants")).where(column("tenant_id") == bindparam("tenant")))
_TENANT = (
    "SELECT tenant_id AS tenant, name, time_zone, locale, clock, support_contact, opened, test_time, advancing_to, period FROM tenants"
)


async def tenant(c: AsyncConnection, tenant_id: str, *, lock: bool = False) -> Tenant | None:
    """`lock`: until the transaction ends nobody else of this tenant draws a number, starts a subscription, or approves a quote."""
    found = await row(c, f"{_TENANT} WHERE tenant_id = :t" + (" FOR UPDATE" if lock else ""), t=tenant_id)
    return Tenant(**found) if found else None


async def tenant_exists(c: AsyncConnection, tenant_id: str) -> bool:
    """Has seats or users told of it?"""
    return bool((await c.execute(_TENANT_EXISTS, {"tenant": tenant_id})).scalar_one())


async def put_tenant(
    c: AsyncConnection, tenant_id: str, *, name: str, time_zone: str, locale: str, clock: str, support_contact: str, at: datetime
) -> None:
    """What users says of it. Which of users' and seats' first event is read first is open, so the row may be there already."""
    await run(
        c,
        """INSERT INTO tenants (tenant_id, name, time_zone, locale, clock, support_contact, test_time)
           VALUES (:t, :name, :zone, :locale, :clock, :contact, CASE WHEN :clock = 'test' THEN CAST(:at AS timestamptz) END)
           ON CONFLICT (tenant_id) DO UPDATE SET name = :name, time_zone = :zone, locale = :locale, clock = :clock,
               support_contact = :contact, test_time = coalesce(tenants.test_time, excluded.test_time)""",
        t=tenant_id,
        name=name,
        zone=time_zone,
        locale=locale,
        clock=clock,
        contact=support_contact,
        at=at,
    )


async def note_opened(c: AsyncConnection, tenant_id: str, at: datetime, *, test: bool) -> None:
    """Seats knows the tenant from here on."""
    await run(
        c,
        """INSERT INTO tenants (tenant_id, opened, test_time) VALUES (:t, true, :at)
           ON CONFLICT (tenant_id) DO UPDATE SET opened = true, test_time = greatest(tenants.test_time, excluded.test_time)""",
        t=tenant_id,
        at=at if test else None,
    )


async def note_time(c: AsyncConnection, tenant_id: str, at: datetime) -> None:
    """A test clock as seats answered it last; it never goes back."""
    await run(c, "UPDATE tenants SET test_time = greatest(test_time, :at) WHERE tenant_id = :t", t=tenant_id, at=at)


async def note_advancing(c: AsyncConnection, tenant_id: str, to: datetime | None) -> None:
    await run(
        c,
        "INSERT INTO tenants (tenant_id, advancing_to) VALUES (:t, :to) ON CONFLICT (tenant_id) DO UPDATE SET advancing_to = :to",
        t=tenant_id,
        to=to,
    )


async def note_period(c: AsyncConnection, tenant_id: str, period: str | None) -> None:
    await run(c, "UPDATE tenants SET period = :period WHERE tenant_id = :t AND period IS DISTINCT FROM :period", t=tenant_id, period=period)


async def draw_number(c: AsyncConnection, tenant_id: str, *, above: int = 0) -> int:
    """The next number of a command to seats. The row stays locked until the commit: numbers go out in the order they were drawn."""
    found = await row(
        c,
        "UPDATE tenants SET last_number = greatest(last_number, :above) + 1 WHERE tenant_id = :t RETURNING last_number",
        t=tenant_id,
        above=above,
    )
    assert found is not None, "numbers are drawn for known tenants"
    return int(found["last_number"])


# ------------------------------------------------------------------------------------------------------ billing details


async def details(c: AsyncConnection, tenant_id: str, version: str | None = None) -> RowMapping | None:
    """A version, or the one in force."""
    return await row(
        c,
        "SELECT * FROM billing_details WHERE tenant_id = :t AND (CAST(:v AS text) IS NULL OR version = :v) ORDER BY number DESC LIMIT 1",
        t=tenant_id,
        v=version,
    )


async def add_details(c: AsyncConnection, tenant_id: str, event: BillingDetailsChanged, fields: dict[str, Any]) -> None:
    columns = ", ".join(fields)
    values = ", ".join(f":{name}" for name in fields)
    await run(
        c,
        f"""INSERT INTO billing_details (tenant_id, version, number, changed_at, {columns})
            SELECT :t, :version, coalesce(max(number), 0) + 1, :at, {values} FROM billing_details WHERE tenant_id = :t""",  # noqa: S608
        t=tenant_id,
        version=event.version,
        at=event.at,
        **fields,
    )


# --------------------------------------------------------------------------------------------------------- subscription


async def subscription(c: AsyncConnection, tenant_id: str) -> RowMapping | None:
    return await row(c, "SELECT * FROM subscriptions WHERE tenant_id = :t", t=tenant_id)


async def contract(c: AsyncConnection, tenant_id: str) -> SubscriptionStarted | None:
    found = await subscription(c, tenant_id)
    return SubscriptionStarted.model_validate_json(found["payload"]) if found else None


async def add_subscription(c: AsyncConnection, tenant_id: str, event: SubscriptionStarted, modules: Sequence[dict[str, Any]]) -> None:
    await _insert(
        c,
        tenant_id,
        "subscriptions",
        subscription=event.subscription,
        status="pending",
        payload=event.model_dump_json(),
        period_start=event.period_start,
        period_end=event.period_end,
        billed_until=event.billed_until,
    )
    for module in modules:
        await _insert(c, tenant_id, "subscription_modules", **module)


async def set_subscription(c: AsyncConnection, tenant_id: str, status: str, reason: str = "") -> None:
    await run(c, "UPDATE subscriptions SET status = :s, reason = :r WHERE tenant_id = :t", t=tenant_id, s=status, r=reason)


async def set_period(c: AsyncConnection, tenant_id: str, start: date, end: date) -> None:
    await run(
        c,
        "UPDATE subscriptions SET period_start = :s, period_end = :e, billed_until = greatest(billed_until, :e) WHERE tenant_id = :t",
        t=tenant_id,
        s=start,
        e=end,
    )


async def modules(c: AsyncConnection, tenant_id: str) -> Sequence[RowMapping]:
    return await rows(c, "SELECT * FROM subscription_modules WHERE tenant_id = :t ORDER BY module", t=tenant_id)


async def set_opened(c: AsyncConnection, tenant_id: str, module: str) -> bool:
    """Marks the module's pool as open; returns whether every pool of the subscription is now."""
    await run(c, "UPDATE subscription_modules SET opened = true WHERE tenant_id = :t AND module = :m", t=tenant_id, m=module)
    found = await row(c, "SELECT count(*) FILTER (WHERE NOT opened) AS closed FROM subscription_modules WHERE tenant_id = :t", t=tenant_id)
    return found is not None and found["closed"] == 0


# ---------------------------------------------------------------------------------------------------------------- pools


_NOTE_POOLS = """
INSERT INTO pools (tenant_id, module, licences, next_period, partition, command_offset, n)
SELECT $1, module, licences, next_period, $5, $6, $7 FROM unnest($2::text[], $3::int[], $4::int[]) AS p (module, licences, next_period)
ON CONFLICT (tenant_id, module) DO UPDATE SET licences = excluded.licences, next_period = excluded.next_period,
    partition = excluded.partition, command_offset = excluded.command_offset, n = excluded.n
WHERE (pools.command_offset, pools.n) < (excluded.command_offset, excluded.n)
  AND (pools.licences, pools.next_period) IS DISTINCT FROM (excluded.licences, excluded.next_period)
"""


async def note_pools(c: AsyncConnection, tenant_id: str, pools: Sequence[PoolState], position: tuple[int, int, int]) -> None:
    """As a decision reports them; what reflects a later decision already is left alone."""
    if pools:
        columns = [p.module for p in pools], [p.licences for p in pools], [p.next_period for p in pools]
        await c.exec_driver_sql(_NOTE_POOLS, (tenant_id, *columns, *position))


async def reported(c: AsyncConnection, tenant_id: str) -> dict[str, Pool]:
    found = await rows(c, "SELECT module, licences, next_period FROM pools WHERE tenant_id = :t ORDER BY module", t=tenant_id)
    return {pool["module"]: Pool(pool["licences"], pool["next_period"]) for pool in found}


# ------------------------------------------------------------------------------------------------------------- commands


async def add_command(c: AsyncConnection, tenant_id: str, command: str, kind: str, reference: str) -> None:
    await _insert(c, tenant_id, "commands", command=command, kind=kind, reference=reference)


async def answer_command(c: AsyncConnection, tenant_id: str, command: str, answer: str) -> RowMapping | None:
    """The command if it is ours and had no answer yet."""
    return await row(
        c,
        """UPDATE commands SET answer = :a, answered_at = now() WHERE tenant_id = :t AND command = :c AND answer IS NULL
           RETURNING kind, reference""",
        t=tenant_id,
        c=command,
        a=answer,
    )


async def commands_not_done(c: AsyncConnection, tenant_id: str) -> list[tuple[str, str]]:
    """(kind, reference) of what the subscription lives by and seats rejected or failed at, and that was not sent again since."""
    found = await rows(
        c,
        """SELECT kind, reference FROM (
               SELECT DISTINCT ON (kind, reference) kind, reference, answer FROM commands
               WHERE tenant_id = :t AND kind IN ('open_pool', 'schedule_period') ORDER BY kind, reference, sent_at DESC
           ) AS last WHERE answer = ANY(:answers) ORDER BY kind, reference""",
        t=tenant_id,
        answers=[registry.type_of(answer) for answer in (CommandRejected, CommandFailed)],
    )
    return [(command["kind"], command["reference"]) for command in found]


# ---------------------------------------------------------------------------------------------------- quotes and orders


async def add_quote(c: AsyncConnection, tenant_id: str, event: QuoteIssued, expects: Expected) -> None:
    await _insert(c, tenant_id, "quotes", quote=event.quote, payload=event.model_dump_json(), expected=expects.model_dump_json())


async def quote(c: AsyncConnection, tenant_id: str, quote_id: str) -> tuple[QuoteIssued, Expected] | None:
    found = await row(c, "SELECT payload, expected FROM quotes WHERE tenant_id = :t AND quote = :q", t=tenant_id, q=quote_id)
    return (QuoteIssued.model_validate_json(found["payload"]), Expected.model_validate_json(found["expected"])) if found else None


async def add_order(c: AsyncConnection, tenant_id: str, event: QuoteApproved) -> None:
    await _insert(
        c,
        tenant_id,
        "orders",
        order=event.order,
        quote=event.quote,
        status="pending",
        approved_at=event.at,
        approved_by=event.actor.model_dump_json(),
    )


async def order(c: AsyncConnection, tenant_id: str, order_id: str) -> RowMapping | None:
    return await row(c, 'SELECT * FROM orders WHERE tenant_id = :t AND "order" = :o', t=tenant_id, o=order_id)


async def order_of_quote(c: AsyncConnection, tenant_id: str, quote_id: str) -> RowMapping | None:
    return await row(c, "SELECT * FROM orders WHERE tenant_id = :t AND quote = :q", t=tenant_id, q=quote_id)


async def decide_order(
    c: AsyncConnection, tenant_id: str, order_id: str, status: str, reason: str, detail: str, at: datetime
) -> tuple[str, Actor] | None:
    """(quote, who approved it) if the order was still pending: the first answer counts."""
    found = await row(
        c,
        """UPDATE orders SET status = :s, reason = :r, detail = :d, decided_at = :at
           WHERE tenant_id = :t AND "order" = :o AND status = 'pending' RETURNING quote, approved_by""",
        t=tenant_id,
        o=order_id,
        s=status,
        r=reason,
        d=detail,
        at=at,
    )
    return (found["quote"], Actor.model_validate_json(found["approved_by"])) if found else None


# ------------------------------------------------------------------------------------------- facts, charges and invoices


async def add_fact(c: AsyncConnection, tenant_id: str, event_id: str, event: Payload) -> None:
    await run(
        c,
        "INSERT INTO facts (tenant_id, id, type, payload) VALUES (:t, :id, :type, :payload) ON CONFLICT DO NOTHING",
        t=tenant_id,
        id=event_id,
        type=registry.type_of(type(event)),
        payload=event.model_dump_json(),
    )


async def facts(c: AsyncConnection, tenant_id: str) -> list[Fact]:
    found = await rows(c, "SELECT id, type, payload FROM facts WHERE tenant_id = :t ORDER BY place", t=tenant_id)
    return [(fact["id"], registry.parse(fact["type"], fact["payload"].encode())) for fact in found]


async def charge_ids(c: AsyncConnection, tenant_id: str) -> set[str]:
    return {found["charge"] for found in await rows(c, "SELECT charge FROM charges WHERE tenant_id = :t", t=tenant_id)}


async def add_charge(c: AsyncConnection, tenant_id: str, charge: ChargeBooked) -> None:
    await _insert(c, tenant_id, "charges", charge=charge.charge, order=charge.order, payload=charge.model_dump_json())


async def issued(c: AsyncConnection, tenant_id: str) -> dict[str, InvoiceIssued]:
    found = await rows(c, "SELECT invoice, payload FROM invoices WHERE tenant_id = :t ORDER BY place", t=tenant_id)
    return {invoice["invoice"]: InvoiceIssued.model_validate_json(invoice["payload"]) for invoice in found}


async def draw_invoice_number(c: AsyncConnection, series: str) -> int:
    """Of the vendor's whole series. The row's lock is held until the invoice is committed or rolled back with the number: a sequence
    object would leave a gap where a transaction is rolled back."""
    found = await row(
        c,
        """INSERT INTO number_series (series, last) VALUES (:s, 1)
           ON CONFLICT (series) DO UPDATE SET last = number_series.last + 1 RETURNING last""",
        s=series,
    )
    assert found is not None
    return int(found["last"])


async def add_invoice(c: AsyncConnection, tenant_id: str, invoice: InvoiceIssued, series: str, sequence: int, document: str) -> None:
    await _insert(
        c,
        tenant_id,
        "invoices",
        invoice=invoice.invoice,
        series=series,
        sequence=sequence,
        number=invoice.number,
        currency=invoice.currency,
        net_minor=invoice.net_minor,
        tax_minor=invoice.tax_minor,
        gross_minor=invoice.gross_minor,
        payload=invoice.model_dump_json(),
        document=document,
    )
    await run(
        c,
        "INSERT INTO invoice_charges (tenant_id, charge, invoice) SELECT :t, charge, :i FROM unnest(CAST(:charges AS text[])) AS charge",
        t=tenant_id,
        i=invoice.invoice,
        charges=[charge for line in invoice.lines for charge in line.charges],
    )
    await _insert(c, tenant_id, "pdfs_to_make", invoice=invoice.invoice)


async def add_pdf(c: AsyncConnection, tenant_id: str, invoice: str, pdf: bytes, sha256: str) -> None:
    await _insert(c, tenant_id, "invoice_pdfs", invoice=invoice, pdf=pdf, sha256=sha256)
    await run(c, "DELETE FROM pdfs_to_make WHERE tenant_id = :t AND invoice = :i", t=tenant_id, i=invoice)
