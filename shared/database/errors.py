"""Errors of the driver, sorted: transient ones (Transient), those that the data causes, and bugs."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from shared.errors import Busy, Transient

# SQLSTATE: connection lost (08), deadlock and serialization (40), resources (53), shutdown (57P), lock and statement timeouts.
_TRANSIENT_CLASSES = ("08", "40", "53")
_LOCK_TIMEOUT = "55P03"
_TRANSIENT_STATES = {_LOCK_TIMEOUT, "57014", "57P01", "57P02", "57P03", "57P05", "25P03"}
# Data exception (a NUL in a text, a number out of range), constraint violated, program limit exceeded (a value too long for an index).
_OF_THE_DATA = ("22", "23", "54")


def sqlstate(error: exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def is_transient(error: exc.DBAPIError) -> bool:
    state = sqlstate(error)
    return error.connection_invalidated or state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES or _is_closed(error)


def is_of_the_data(error: exc.DBAPIError) -> bool:
    """Return whether a value caused the error, not the statement: a message with such a value becomes a dead letter."""
    return sqlstate(error)[:2] in _OF_THE_DATA or (isinstance(error, exc.DataError) and not sqlstate(error))


def _is_closed(error: exc.DBAPIError) -> bool:
    # asyncpg raises these without a SQLSTATE when the server stopped between two statements.
    return isinstance(error, exc.InterfaceError | exc.OperationalError) and not sqlstate(error)


@contextmanager
def translated() -> Iterator[None]:
    """Raise transient errors of the block as Transient, a lock that is held too long as Busy, and every other error as it is."""
    try:
        yield
    except exc.DBAPIError as error:
        if is_transient(error):
            kind = Busy if sqlstate(error) == _LOCK_TIMEOUT else Transient
            raise kind(f"database: {error.orig}") from error
        raise
    except (exc.TimeoutError, ConnectionError, TimeoutError) as error:
        raise Transient(f"database: {error or type(error).__name__}") from error
