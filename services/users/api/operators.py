"""The vendor's operators."""

from functools import partial

from fastapi import APIRouter, Request, Response

from services.users.api.dependencies import InContext, Operator, OperatorId
from services.users.api.sign_in_requests import NewOperator
from services.users.api.sign_in_responses import OperatorView
from services.users.store import operators as store
from services.users.store.operators import OperatorRow
from services.users.use_cases import operators
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.fields import common_fields
from shared.web import Cursor, Limit, Page, answer, decode_cursor, encode_cursor, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/operators", tags=["operators"])


def _view(row: OperatorRow) -> OperatorView:
    return OperatorView(operator=row.operator_id, **common_fields(row, OperatorRow, OperatorView))


async def _created(uow: UnitOfWork, operator_id: str) -> Response:
    row = await store.get(uow.connection, operator_id)
    if row is None:
        raise NotFound("operator")
    return answer(_view(row), 201, {"location": f"/v1/operators/{operator_id}"})


@router.post("", status_code=201, response_model=OperatorView, responses=refusals(409), summary="Add an operator")
async def add_operator(
    body: NewOperator, request: Request, context: InContext, principal: Operator, key: IdempotencyKey = None
) -> Response:
    """A person of the vendor, who signs in by an e-mail link or with the vendor's identity provider, and then has the right `operator`."""
    async with context.database.unit_of_work(None) as uow:

        async def add() -> Response:
            row = await operators.add(uow, body.email, body.name, principal.subject, context.clock.now())
            return await _created(uow, row.operator_id)

        return await idempotent(uow, request, principal, key, add, partial(_created, uow))


@router.get("", summary="List the operators, in order of their e-mail addresses")
async def list_operators(
    context: InContext, principal: Operator, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[OperatorView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(None) as uow:
        rows = await store.page(uow.connection, after, limit)
    return Page(items=[_view(row) for row in rows], next=encode_cursor(rows[-1].email_key) if len(rows) == limit else None)


@router.delete("/{operator}", status_code=204, responses=refusals(404), summary="Delete an operator")
async def remove_operator(operator: OperatorId, context: InContext, principal: Operator) -> Response:
    """The operator's sessions end at once, and the last access token after at most five minutes."""
    async with context.database.unit_of_work(None) as uow:
        await operators.remove(uow, operator, principal.subject)
    return Response(status_code=204)
