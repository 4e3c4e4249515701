"""Tests of connections to other servers, step by step, and the steps that all tests share: resolving a host and connecting
to it."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from bellcast.kernel.errors import BellcastError
from bellcast.kernel.outbound import DeliveryError
from bellcast.kernel.outbound.guard import AddressGuard, Resolver


class TestStep(Struct, frozen=True, kw_only=True):
    """One step of a test; `fix` is set if it failed. Skipped are the steps after a failed one, and those that do not apply."""

    step: str
    state: Literal["ok", "failed", "skipped"]
    ms: float
    detail: str
    fix: str | None


class TestReport(Struct, frozen=True):
    """The result of a test."""

    state: Literal["ok", "failed"]
    steps: list[TestStep]


# Limit for all steps together: an operator waits for them.
TIMEOUT_SECONDS = 15.0
# A step returns a text about its result.
ConnectionStep: TypeAlias = Callable[[], Awaitable[str]]


class StepFailed(Exception):
    """A step did not succeed; the text is for the operator."""


class StepSkipped(Exception):
    """A step does not apply, for the reason in the text; the test continues."""


FAILURES = (
    *(StepFailed, DeliveryError, BellcastError, OSError, EOFError, ValueError, KeyError),
    # A server of another protocol may send a head without an end, and JSON of any shape and depth.
    *(asyncio.LimitOverrunError, msgspec.DecodeError, TypeError, RecursionError),
)


async def run(steps: Mapping[str, ConnectionStep], fixes: Mapping[str, str]) -> TestReport:
    """Run steps by name, in order. After a failed step, which gets its fix, the others are skipped."""
    results: list[TestStep] = []
    deadline = asyncio.get_running_loop().time() + TIMEOUT_SECONDS
    for name, step in steps.items():
        if results and results[-1].state == "failed":
            break
        started = time.perf_counter()
        state: Literal["ok", "failed", "skipped"] = "failed"
        try:
            async with asyncio.timeout_at(deadline):
                detail = await step()
            state = "ok"
        except StepSkipped as reason:
            state, detail = "skipped", str(reason)
        except TimeoutError:
            detail = f"No response within {TIMEOUT_SECONDS:.0f} s."
        except FAILURES as error:
            if isinstance(error, socket.gaierror):
                detail = f"The host has no address: {error.strerror}."
            elif isinstance(error, ConnectionError) and error.errno:
                # asyncio's text names the call and the tuple of its address.
                detail = f"The connection failed: {os.strerror(error.errno)}."
            else:
                detail = str(error) or type(error).__name__
        elapsed = round((time.perf_counter() - started) * 1000, 1)
        fix = fixes[name] if state == "failed" else None
        results.append(TestStep(step=name, state=state, ms=elapsed, detail=detail, fix=fix))
    skipped = [TestStep(step=name, state="skipped", ms=0, detail="", fix=None) for name in [*steps][len(results) :]]
    return TestReport("failed" if any(one.state == "failed" for one in results) else "ok", [*results, *skipped])


async def resolve(host: str, guard: AddressGuard | None) -> str:
    """Resolve a host; return its addresses, unless a guard restricts them. Raises BellcastError or OSError."""
    if guard is not None:
        await guard.addresses(host)
        # Callers that may name a host need not know the addresses of a private network.
        return "Resolved."
    return ", ".join(sorted(await Resolver().addresses(host)))


async def connect(
    host: str, port: int, guard: AddressGuard | None, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a host, with TLS if there is a context. Raises BellcastError or OSError."""
    connected = await (guard or Resolver()).connect(host, port)
    return await asyncio.open_connection(sock=connected, ssl=context, server_hostname=host if context else None)
