"""Erase a person from the tables of the notifier."""

from typing import Final

from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, cast, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.store.action_log import TABLE as ACTIONS
from services.notifier.store.emails import TABLE as EMAILS
from services.notifier.store.notifications import TABLE as NOTIFICATIONS
from services.notifier.store.recipients import PEOPLE
from shared.database.tenancy import ERASING

PERSONAL: Final = (
    "login",
    "email",
    "confirmed_email",
    "name",
    "job_title",
    "external_id",
    "department",
)  # fields of changes and details in the log

_P: Final = PEOPLE.c
_E: Final = EMAILS.c
_N: Final = NOTIFICATIONS.c
_A: Final = ACTIONS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USER: Final = bindparam("user", type_=Text)
_PERSON: Final = select(_P.name, _P.email, _P.login).where(_P.tenant_id == _TENANT, _P.user_id == _USER)
_FORGET: Final = update(PEOPLE).where(_P.tenant_id == _TENANT, _P.user_id == _USER).values(name="", email="", login="")
_RECIPIENTS: Final = select(_E.recipient, _E.recipient_name).where(_E.tenant_id == _TENANT, _E.user_id == _USER).distinct()
_CHANGES: Final = select(_A.seq, _A.changes, _A.details).where(_A.tenant_id == _TENANT, _A.user_id == _USER)
_TEXTS: Final = func.concat_ws("\n", _E.subject, _E.recipient, _E.recipient_name, _E.body_text, _E.body_html)
_PATTERNS: Final = any_(bindparam("patterns", type_=ARRAY(Text)))
_SENT: Final = _E.state.in_([literal_column("'sent'"), literal_column("'failed'")])
_NAMING: Final = (_E.tenant_id == _TENANT, or_(_E.user_id == _USER, _TEXTS.op("~")(_PATTERNS)))
_EMPTY_EMAILS: Final = update(EMAILS).where(*_NAMING, _SENT).values(subject="", body_text="", body_html="", error=None)
_EMPTY_OWN: Final = update(EMAILS).where(_E.tenant_id == _TENANT, _E.user_id == _USER).values(recipient="", recipient_name="")
_UNSENT: Final = select(_E.email_id).where(*_NAMING, ~_SENT).with_for_update()
_REDACT: Final = (
    update(EMAILS)
    .where(_E.tenant_id == _TENANT, _E.email_id == any_(bindparam("emails", type_=ARRAY(Text))))
    .values(
        {
            name: func.regexp_replace(_E[name], bindparam("pattern", type_=Text), bindparam("instead", type_=Text), "g")
            for name in ("subject", "body_text", "body_html")
        }
    )
)
_DELETE: Final = delete(NOTIFICATIONS).where(
    _N.tenant_id == _TENANT,
    _N.state.in_([literal_column("'emailed'"), literal_column("'dropped'")]),
    or_(_N.user_id == _USER, cast(_N.data, Text).op("~")(_PATTERNS)),
)
_ALLOW: Final = select(func.set_config(ERASING, _USER, literal_column("true")))
_SET_CHANGES: Final = (
    update(ACTIONS)
    .where(_A.tenant_id == _TENANT, _A.seq == bindparam("of_seq", type_=BigInteger))
    .values(changes=bindparam("new_changes", type_=JSONB), details=bindparam("new_details", type_=JSONB))
)


async def texts_of(connection: AsyncConnection, tenant_id: str, user: str) -> set[str]:
    """Return the names and addresses of the person, also those of the past, as far as e-mails and the log know them."""
    own = {"tenant": tenant_id, "user": user}
    found = {text for row in await connection.execute(_PERSON, own) for text in row}
    found |= {text for row in await connection.execute(_RECIPIENTS, own) for text in row}
    for row in await connection.execute(_CHANGES, own):
        found |= {
            str(value)
            for name, *values in row.changes
            if name in ("login", "email", "confirmed_email", "name")
            for value in values
            if value
        }
    return {text for text in found if text}


async def erase(connection: AsyncConnection, tenant_id: str, user: str, patterns: list[str], instead: str) -> None:
    """Erase the person from recipients, e-mails and notifications. E-mails that name the person lose their texts; those that are not sent
    yet say `instead`, and the person's own are given up by the sender, since a leaver gets none."""
    own = {"tenant": tenant_id, "user": user}
    await connection.execute(_FORGET, own)
    await connection.execute(_EMPTY_EMAILS, own | {"patterns": patterns})
    unsent = list((await connection.execute(_UNSENT, own | {"patterns": patterns})).scalars())
    for pattern in patterns if unsent else ():
        await connection.execute(_REDACT, {"tenant": tenant_id, "emails": unsent, "pattern": pattern, "instead": instead})
    await connection.execute(_EMPTY_OWN, own)
    await connection.execute(_DELETE, own | {"patterns": patterns})


async def erase_from_log(connection: AsyncConnection, tenant_id: str, user: str) -> None:
    """Erase the person's data from the entries of the log. The entries stay: the log is append-only but for this."""
    own = {"tenant": tenant_id, "user": user}
    await connection.execute(_ALLOW, own)
    for row in (await connection.execute(_CHANGES, own)).all():
        changes = [[name, None, None] if name in PERSONAL else [name, *values] for name, *values in row.changes]
        details = {name: None if name in PERSONAL else value for name, value in row.details.items()}
        if (changes, details) != (row.changes, row.details):
            new = {"new_changes": changes, "new_details": details}
            await connection.execute(_SET_CHANGES, {"tenant": tenant_id, "of_seq": row.seq} | new)
