"""The decisions of seats about a person, as plain sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.console.pages.page import Page
from services.console.rendering.people_texts import REASONS

Event = Mapping[str, Any]
KEPT: Final = ("active", "flagged", "held", "waiting")  # states that an answer names again while they stay
STATE_AFTER: Final = {"seat_granted": "active", "seat_flag_cleared": "active", "seat_flagged": "flagged"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was decided, and why. `module`: the module that it is about, if it is about one. `state`: the state that it has from then on."""

    text: str
    because: str = ""
    module: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided at one time. `asked`: the change that seats was asked about."""

    at: str
    asked: str
    sentences: Sequence[Sentence]


def decisions_of(why: Mapping[str, Any], user: str, names: Mapping[str, str], page: Page) -> list[Decision]:
    """Return the decisions, newest first."""
    found = []
    for link in why["chain"]:
        events = [each for each in link["decisions"] if "at" in each["data"]]
        sentences = [sentence for event in events for sentence in _sentences(event, user, names, page)]
        if sentences:
            asked = next((event["data"]["asked"] for event in events if event["data"].get("asked")), "")
            found.append(Decision(events[0]["data"]["at"], _reason(asked, page), sentences))
    return found


def latest(decisions: Sequence[Decision], module: str) -> tuple[str, str]:
    """Return why the module is as it is, and since when; empty if the decisions do not tell. An answer names all modules, also those that
    stay as they are: the decision that made the module so says why, not one that left it so."""
    found, state = ("", ""), ""
    for decision in decisions:
        for sentence in reversed(decision.sentences):
            if sentence.module == module:
                if found != ("", "") and (state not in KEPT or sentence.state != state):
                    return found
                found, state = (sentence.because or decision.asked, decision.at), sentence.state
    return found


def _reason(reason: str | None, page: Page) -> str:
    return page.gettext(REASONS[reason]) if reason in REASONS else ""


def _sentences(event: Event, user: str, names: Mapping[str, str], page: Page) -> Iterator[Sentence]:
    kind, data = event["type"].rpartition(".")[2], event["data"]
    because = _reason(data.get("reason"), page)
    if kind in ("seats_assigned", "seats_queued", "seats_refused", "seats_moved"):
        if data.get("user") == user:
            yield from (_answered(each, data, names, page) for each in data["modules"])
            yield from _given_up(data.get("released", ()), "", names, page)
        else:
            yield from _moved_away(data, names, page)
    elif kind == "seats_released":
        yield from _given_up(data["released"], page.gettext("A change that was known before took effect on this day."), names, page)
    elif kind == "replacement_refused":
        yield Sentence(page.gettext("The replacement was refused, and nothing moved."), because)
    elif kind in ("command_rejected", "command_failed"):
        yield Sentence(page.gettext("The change could not be decided. Ask the vendor."))
    elif "module" in data and (text := _consequence(kind, data, names.get(data["module"], data["module"]), page)):
        yield Sentence(text, because, data["module"], STATE_AFTER.get(kind, ""))


def _answered(each: Mapping[str, Any], data: Mapping[str, Any], names: Mapping[str, str], page: Page) -> Sentence:
    """Return the sentence about one module of an answer. An answer names all modules, also those whose state stays."""
    state, name = each["state"], names.get(each["module"], each["module"])
    texts = {
        "active": page.gettext("%(module)s: the person has a seat.", module=name),
        "flagged": _over_limit(each, name, page),
        "held": page.gettext("%(module)s: a licence is reserved until the invitation ends.", module=name),
        "waiting": page.gettext("%(module)s: the person waits for a licence.", module=name),
        "refused": page.gettext("%(module)s: refused.", module=name),
        "revoked": page.gettext("%(module)s: still lost.", module=name),
    }
    reason = each.get("reason") or ("" if state == "active" else data.get("reason"))
    blocking = data.get("blocked_by") or ()
    if state == "waiting" and blocking and each["module"] not in blocking:
        full = ", ".join(names.get(other, other) for other in blocking)
        because = page.gettext("A licence was free. The person waits for another module of the profile: %(modules)s.", modules=full)
    else:
        because = _reason(reason, page)
    return Sentence(texts.get(state, f"{name}: {state}"), because, each["module"], state)


def _over_limit(data: Mapping[str, Any], name: str, page: Page) -> str:
    if data.get("deadline"):
        day = page.formats.day(data["deadline"])
        return page.gettext("%(module)s: over the limit. The person loses access on %(day)s.", module=name, day=day)
    return page.gettext("%(module)s: over the limit, without a deadline.", module=name)


def _given_up(modules: Sequence[str], because: str, names: Mapping[str, str], page: Page) -> Iterator[Sentence]:
    for module in modules:
        yield Sentence(page.gettext("%(module)s: the seat was given up.", module=names.get(module, module)), because, module)


def _moved_away(data: Mapping[str, Any], names: Mapping[str, str], page: Page) -> Iterator[Sentence]:
    for module in data.get("moved", ()):
        text = page.gettext("%(module)s: another person took over the seat.", module=names.get(module, module))
        yield Sentence(text, "", module)
    yield from _given_up(data.get("from_released", ()), "", names, page)


def _consequence(kind: str, data: Mapping[str, Any], name: str, page: Page) -> str:
    match kind:
        case "seat_flagged":
            return _over_limit(data, name, page)
        case "seat_flag_cleared":
            return page.gettext("%(module)s: no longer over the limit.", module=name)
        case "seat_granted":
            return page.gettext("%(module)s: the person got a seat.", module=name)
        case "seat_revoked":
            return page.gettext("%(module)s: the person lost access.", module=name)
        case "seat_released":
            return page.gettext("%(module)s: the seat was given up.", module=name)
        case "hold_expired":
            return page.gettext("%(module)s: the reservation ended.", module=name)
        case "hold_cancelled":
            return page.gettext("%(module)s: the reservation was cancelled.", module=name)
        case _:
            return ""
