"""A cancellation that nobody asked for (aiokafka cancels requests that it gives up) is not taken for the end of a role."""

import asyncio

import pytest

from shared.errors import Transient
from shared.kafka import translated
from shared.runtime import together


async def cancelled_by_a_library() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def until_cancelled() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_request_that_the_client_gave_up_is_an_error_of_the_moment() -> None:
    with pytest.raises(Transient), translated():
        await cancelled_by_a_library()


async def test_our_own_end_stays_one() -> None:
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


async def test_a_process_that_is_told_to_end_ends_quietly() -> None:
    task = asyncio.create_task(together(until_cancelled(), until_cancelled()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
