"""Topics that are bound to one source each. They are for the operator."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from services.users.api.dependencies import InContext
from services.users.api.requests import BindTopic
from services.users.api.responses import BoundTopic
from services.users.api.tenants import check_source
from services.users.use_cases import hr_topics
from shared.schemas.topics import HR_TOPIC_NAME, hr_topic
from shared.web import operator, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/operator/hr-topics", tags=["operator"], dependencies=[Depends(operator())])

Name = Annotated[str, Path(pattern=f"^{HR_TOPIC_NAME.pattern}$", description="The part of the topic's name after `hr.events.v1.`.")]


@router.put("/{name}", response_model=BoundTopic, responses=refusals(409), summary="Bind a source to a topic of its own")
async def bind(name: Name, body: BindTopic, context: InContext) -> BoundTopic:
    """From then on, events of the source are accepted only from that topic, and events of other sources are not accepted there. The
    binding waits until users has read what the source wrote to the shared topic."""
    check_source("body.source", body.source)
    await hr_topics.bind(context.database, context.consumer, body.source, name)
    return BoundTopic(topic=hr_topic(name).name, source=body.source)


@router.delete("/{name}", status_code=204, responses=refusals(404, 409), summary="Let a source write to the shared topic again")
async def unbind(name: Name, context: InContext) -> Response:
    """The request is refused while the topic has unread records."""
    await hr_topics.unbind(context.database, context.consumer, name)
    return Response(status_code=204)
