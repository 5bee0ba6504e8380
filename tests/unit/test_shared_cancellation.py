"""A cancellation that nobody asked for (aiokafka cancels requests that it gives up) is not taken for the end of a role."""

import asyncio

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    KafkaUnavailableError,
    NodeNotReadyError,
    UnsupportedCodecError,
)

from shared.errors import Transient
from shared.kafka import translated
from shared.runtime import together


async def cancelled_by_a_library() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def until_cancelled() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_request_that_the_client_gave_up_is_a_transient_error() -> None:
    with pytest.raises(Transient), translated():
        await cancelled_by_a_library()


@pytest.mark.parametrize("error", [KafkaTimeoutError("no offsets"), KafkaUnavailableError(), KafkaConnectionError(), NodeNotReadyError()])
async def test_a_broker_that_does_not_answer_in_time_is_a_transient_error(error: KafkaError) -> None:
    """Or a reader would end, and be started again, for each slow answer to a question for an end."""
    with pytest.raises(Transient), translated():
        raise error


async def test_a_broker_that_gives_no_metadata_is_a_transient_error() -> None:
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(Transient), translated():
        await client.fetch_all_metadata()


@pytest.mark.parametrize("error", [KafkaError("Unexpected error during data retrieval"), UnsupportedCodecError()])
async def test_an_error_that_a_retry_cannot_change_keeps_its_type(error: KafkaError) -> None:
    with pytest.raises(type(error)), translated():
        raise error


async def test_a_cancellation_of_our_own_task_stays_a_cancellation() -> None:
    async def role() -> None:
        with translated():
            await until_cancelled()

    task = asyncio.create_task(role())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_role_that_is_cancelled_from_inside_ends_the_process() -> None:
    with pytest.raises(RuntimeError, match="cancelled by something that it awaited"):
        await together(until_cancelled(), cancelled_by_a_library())


async def test_a_process_that_gets_a_signal_ends_quietly() -> None:
    task = asyncio.create_task(together(until_cancelled(), until_cancelled()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
