"""`seatpool hr bind` and `unbind`: a source that may write only to a topic of its own."""

from cli.console import CliError, fail, out, run
from cli.rest import Rest, addresses, kafka_settings
from cli.topics import create_on_broker
from shared.schemas.topics import HR_EVENTS, HR_TOPIC_NAME, Topic, hr_topic

SOURCES_SHOWN = 20


def bind(source: str, topic: str | None) -> None:
    name = source.removeprefix("hr/") if topic is None else topic
    if not HR_TOPIC_NAME.fullmatch(name):
        fail(f"{name!r} cannot be part of the name of a topic", f"Use --topic and match {HR_TOPIC_NAME.pattern}.")
    made = run(_bind(source, hr_topic(name)))
    out.print(
        f"{source} is bound to {hr_topic(name).name}{' ([green]created[/])' if made else ''}. Its events are now accepted only from there."
    )


async def _bind(source: str, topic: Topic) -> bool:
    kafka = kafka_settings()
    async with Rest(addresses()) as rest:
        listed = [str(each["source"]) for each in await rest.pages("users", "/v1/operator/sources")]
        if source not in listed:  # before a topic is created that nobody may use
            names = ", ".join(listed[:SOURCES_SHOWN]) + (", …" if len(listed) > SOURCES_SHOWN else "")
            raise CliError(
                f"{source} is not on the allow-list of sources ({names or 'it is empty'})",
                "Correct the name, or add the source first: PUT /v1/operator/sources/{source} (docs/operating.md).",
            )
        made = await create_on_broker(kafka, (topic,))
        await rest.put("users", f"/v1/operator/hr-topics/{topic.name.rpartition('.')[2]}", {"source": source})
    return bool(made)


def unbind(source: str) -> None:
    topic = run(_unbind(source))
    out.print(
        f"Events of {source} are accepted from {HR_EVENTS.name} again. {topic} stays on the broker, but no service reads it any more."
    )


async def _unbind(source: str) -> str:
    async with Rest(addresses()) as rest:
        found = await rest.pages("users", "/v1/operator/sources")
        topic = next((str(each["topic"]) for each in found if each["source"] == source), HR_EVENTS.name)
        if topic == HR_EVENTS.name:
            raise CliError(f"{source} is not bound to a topic of its own")
        await rest.call("DELETE", "users", f"/v1/operator/hr-topics/{topic.removeprefix(f'{HR_EVENTS.name}.')}")
        return topic
