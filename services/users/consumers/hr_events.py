"""Statements about people, from HR systems."""

from collections.abc import Mapping, Sequence

from services.users.consumers.message_tenant import OfTenant, load_tenant
from services.users.domain.timelines import problem_in
from services.users.store import hr_sources
from services.users.use_cases import held_statements
from services.users.use_cases.locked_tenants import Tenants
from shared.database import UnitOfWork
from shared.errors import Poison
from shared.messaging import Handler, Message
from shared.schemas import hr_v1
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.topics import HR_EVENTS, Topic

HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {
    HR_EVENTS: (hr_v1.PersonHired, hr_v1.PersonChanged, hr_v1.PersonLeft, hr_v1.PersonReported, hr_v1.PersonFactWithdrawn)
}
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = {HR_EVENTS: ()}


class HrEvents:
    """Handlers of the statements of HR systems."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants

    def handlers(self) -> dict[type[Payload], Handler]:
        return dict.fromkeys(HANDLED[HR_EVENTS], self.on_statement)

    async def on_statement(self, uow: UnitOfWork, message: Message) -> None:
        """Receive a statement of a source that may write about this tenant. Raises Poison."""
        payload, envelope = message.payload, message.envelope
        assert isinstance(payload, hr_v1.HrFact | hr_v1.PersonReported | hr_v1.PersonFactWithdrawn)
        permission = await self._tenants.permission(message.tenant, uow, envelope.source)
        if message.topic != (right := hr_sources.topic_of(permission.topic)):
            detail = f"{envelope.source!r} writes to {right.name}, and not to {message.topic.name}"
            raise Poison("wrong_topic", detail, rule="ce_source: bound to this topic")
        if not permission.allowed:
            detail = f"{envelope.source!r} is not on the allow-list for tenant {envelope.tenant!r}"
            raise Poison("source", detail, rule="ce_source: on the tenant's allow-list")
        if problem := problem_in(payload):
            raise Poison("rule", problem, rule=problem.partition(" (got ")[0])
        await load_tenant(self._tenants, uow, message)
        uow.gather(self._receive, OfTenant(message.tenant, (envelope, payload)))

    async def _receive(self, uow: UnitOfWork, gathered: Sequence[OfTenant[tuple[Envelope, Payload]]]) -> None:
        """Receive statements of one tenant: they were gathered in its scope."""
        tenant = await self._tenants.load(gathered[0].tenant, uow)
        assert tenant is not None, "loaded for each message"
        await held_statements.receive(tenant, uow, [each.item for each in gathered])
