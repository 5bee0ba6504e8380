"""The life of a process: its event loop, its signals, its end."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import zoneinfo
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from shared.observability.logs import configure_logging
from shared.settings import CommonSettings, load
from shared.web.connections import CONNECTIONS_MAX, LimitedProtocol

log = structlog.get_logger(__name__)
S = TypeVar("S", bound=CommonSettings)

SHUTDOWN_SECONDS = 10  # a request under way at the end is waited for this long
END_SECONDS = 60  # after a role has failed the process ends within this time, whatever the other roles wait for


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until it returns or SIGTERM or SIGINT comes, which cancel it (exit code 0). An exception of any role ends the process with exit
    code 1 after logging it: its supervisor starts it again, and nothing goes on half alive. Time zones are those of the package tzdata,
    so that a local day is the same on every machine."""
    zoneinfo.reset_tzpath(())
    with _in_time() as failed, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_until_signal(main))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return
        except BaseException as error:
            log.critical("process_ends", exc_info=True)
            failed(error)
            sys.exit(1)


@contextlib.contextmanager
def _in_time() -> Iterator[Callable[[BaseException], None]]:
    """Give a function to call when the block has failed: if the block has not ended `END_SECONDS` later, the process ends without it. What
    made a role fail can also hold up the end of that role or of another one."""
    timers: list[threading.Timer] = []

    def failed(error: BaseException) -> None:
        timers.append(threading.Timer(END_SECONDS, _end_at_once, (error,)))
        timers[-1].daemon = True
        timers[-1].start()

    try:
        yield failed
    finally:
        for timer in timers:
            timer.cancel()


def _end_at_once(error: BaseException) -> None:
    log.critical("process_ends_at_once", detail=f"what has to end first did not do so in {END_SECONDS} s", exc_info=error)
    sys.stdout.flush()
    os._exit(1)


def run_role(service: str, roles: Sequence[str], settings: type[S], start: Callable[[S, str], Coroutine[Any, Any, None]]) -> None:
    """`python -m services.<service> <role>`: with the settings of the environment, until it ends or is told to."""
    if len(sys.argv) != 2 or sys.argv[1] not in roles:
        sys.stderr.write(f"usage: python -m services.{service} {'|'.join(roles)}\n")
        sys.exit(2)
    loaded = load(settings)
    configure_logging(service, loaded)
    run(lambda: start(loaded, sys.argv[1]))


async def _until_signal(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(main(), name="main")
    loop = asyncio.get_running_loop()
    stopped = False

    def stop(name: str) -> None:
        nonlocal stopped
        stopped = True
        log.info("stopping", signal=name)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise


async def together(*coroutines: Awaitable[None]) -> None:
    """Run all roles of a process until cancelled. The first role that ends, for any reason, ends them all: no role ends by itself."""

    async def role(coroutine: Awaitable[None]) -> None:
        try:
            try:
                await coroutine
            except asyncio.CancelledError as error:
                # A task group forgets a task that was cancelled from inside (by a library), and the process would go on without that role.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                raise RuntimeError("a role of this process was cancelled by something that it awaited") from error
            raise RuntimeError("a role of this process has ended")
        except Exception as error:
            failed(error)
            raise

    try:
        with _in_time() as failed:
            async with asyncio.TaskGroup() as group:
                for coroutine in coroutines:
                    group.create_task(role(coroutine))
    except BaseExceptionGroup as errors:
        # One cause is shown as itself; the others, if there are any, are in the log with it.
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise


class _Server(uvicorn.Server):
    """A server that leaves signals to `run`."""

    def capture_signals(self) -> Any:
        return contextlib.nullcontext()


async def serve(app: ASGIApp, settings: CommonSettings) -> None:
    """Serve REST on the settings' address until cancelled. Requests under way are finished."""
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,  # the web layer writes one, with ids
            server_header=False,
            # By itself uvicorn believes X-Forwarded-For of everybody on this machine.
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies.split(","),
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=64 * 1024,
            http=LimitedProtocol,
            limit_concurrency=CONNECTIONS_MAX + 1,  # at this number uvicorn answers 503
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        server.should_exit = True
        await task
        raise
    except SystemExit as error:  # uvicorn's way of saying that it could not start
        raise RuntimeError(f"REST could not be served on {settings.host}:{settings.port}") from error
