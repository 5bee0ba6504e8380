"""The handlers of actions that are due at an instant of a tenant's time, by their kind.

A handler may set the next instant of its own action. On a test clock, each instant is a stop of the clock.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from services.invoicing.store.due_actions import DueAction
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork

DueHandler = Callable[[Wiring, UnitOfWork, DueAction], Awaitable[None]]

HANDLERS: Final[Mapping[str, DueHandler]] = {}
