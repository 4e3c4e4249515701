"""Steps that call the app: an HTTP request, or a Python function."""

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.types import PROJECT
from bellcast.kernel import concurrency
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.kernel.identities import Project
from bellcast.kernel.jobs.slots import Destination, Destinations, server_of
from bellcast.kernel.outbound import (
    STEP_SEPARATOR,
    DeliveryError,
    Http,
    is_temporary,
    next_delay,
    parse_retry_after,
    sign,
    signing_key,
    tenant_signing_key,
)
from bellcast.templates.budget import TemplateError
from bellcast.templates.rendering import Renderer
from bellcast.workflows import engine, workflow_catalog
from bellcast.workflows.definitions import Step
from bellcast.workflows.engine import InvalidValue, RunContext, StepOutcome
from bellcast.workflows.types import StepStatus
from bellcast.workflows.types.runs import RunState, StoredRun

log = structlog.get_logger(__name__)

TYPES = frozenset({"http", "python"})
HTTP_TIMEOUT_MS = 10_000
FUNCTION_TIMEOUT_MS = 60_000
# Concurrent `http` steps of one tenant, at each server, and concurrent calls of one function.
HTTP_SLOTS = 64
FUNCTION_SLOTS = concurrency.TENANT_THREADS
FUNCTION_LINE = "python "
# RFC 9110 §5.5: no control character but the tab.
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
WRONG_HEADER = "has a line break, another control character or a letter beyond Latin-1"


class FunctionRun(Struct, frozen=True, kw_only=True):
    """The argument of a `python` step's function. `idempotency_key` is the same in every attempt."""

    id: str
    workflow: str
    step: str
    data: Mapping[str, Any]
    recipient: Mapping[str, Any]
    tenant: Mapping[str, Any]
    steps: Mapping[str, Any]
    attempt: int
    idempotency_key: str


StepFunction = Callable[[FunctionRun], Any]


class StepCalls(Struct, eq=False):
    """Calls the app for steps."""

    http: Http
    clock: Clock
    real_clock: Clock
    project: Project
    functions: Mapping[str, StepFunction]
    delays: Callable[[], Sequence[float]]
    destinations: Destinations

    def line(self, step: Step, owner: str) -> str:
        """Return the line in which jobs wait for the step's call. Functions serve only workflows of the project."""
        is_function = step.type == "python" and owner == PROJECT
        return f"{FUNCTION_LINE}{step.fields['function']}" if is_function else step.type

    def serves(self, line: str) -> bool:
        """Return False for the line of a function that this process does not have: its jobs wait for a process that has it."""
        return not line.startswith(FUNCTION_LINE) or line.removeprefix(FUNCTION_LINE) in self.functions

    def destination(self, step: Step, run: RunState, context: RunContext, tenant: str) -> Destination:
        """Return the destination of the step's call: one server, or one function."""
        if step.type == "python":
            return self.destinations.of(f"function {step.fields['function']}", tenant, FUNCTION_SLOTS)
        server = server_of(step.fields["url"])
        if not server or "{" in server:
            with suppress(TemplateError):  # the call fails
                server = server_of(Renderer(engine.variables_of(run, context)).render(step.fields["url"]))
        return self.destinations.of("http steps", tenant, HTTP_SLOTS).of_server(server)

    async def call(self, step: Step, run: RunState, context: RunContext, stored: StoredRun) -> StepOutcome:
        """Make one attempt. Raises InvalidValue and TemplateError."""
        attempts = run.step(step.key).attempts + 1
        try:
            call = self._request if step.type == "http" else self._function
            result = await call(step, run, context, stored, attempts)
        except DeliveryError as error:
            delay = next_delay(attempts, self.delays(), error.retry_after) if error.is_temporary else None
            reason = error.response
            if delay is not None:
                now = self.clock.now()
                due_at = now + int(delay * 1000)
                return StepOutcome(state="waiting", reason=reason, due_at=due_at, planned_at=now, attempts=attempts)
            state: StepStatus = "done" if step.fields.get("on_error") == "continue" else "failed"
            return StepOutcome(state=state, reason=reason, attempts=attempts)
        return StepOutcome(result=result, attempts=attempts)

    # --- HTTP

    async def _request(self, step: Step, run: RunState, context: RunContext, stored: StoredRun, attempts: int) -> Any:
        renderer = Renderer(engine.variables_of(run, context))
        template, method = step.fields.get("body"), step.fields.get("method", "POST")
        if method == "GET":
            body = b""
        elif isinstance(template, str):
            body = renderer.render(template).encode()
        elif template is not None:
            body = msgspec.json.encode(engine.resolved(template, run, context, renderer.render))
        else:
            values = engine.values_of(run, context)
            described = {name: values[name] for name in ("recipient", "tenant", "data")}
            body = msgspec.json.encode({"run": context.id, "workflow": context.workflow, "step": step.key, **described})
        headers: dict[str, str] = {}
        for name, text in step.fields.get("headers", {}).items():
            value = renderer.render(text)
            if not HEADER_VALUE.fullmatch(value):  # it can never be sent
                raise InvalidValue(f"headers.{name} {WRONG_HEADER}")
            headers[name.lower()] = value.strip()
        headers.setdefault("content-type", "application/json")
        secrets = [one.secret for one in self.project.accepted]
        is_project = stored.owner == PROJECT
        keys = [signing_key(one) if is_project else tenant_signing_key(one, stored.owner) for one in secrets]
        headers |= sign(keys, f"{stored.id}{STEP_SEPARATOR}{step.key}", self.real_clock.now() // 1000, body)
        timeout = _seconds(step, run, context, HTTP_TIMEOUT_MS)
        url = renderer.render(step.fields["url"])
        server = server_of(url)
        slots = self.destinations.of("http steps", stored.tenant, HTTP_SLOTS).of_server(server)
        try:
            async with slots.call(server):
                response = await self.http.request(method, url, headers=headers, body=body, timeout=timeout)
        except BellcastError as error:
            raise DeliveryError(error.detail, is_temporary=True) from None
        status = response.status
        if not 200 <= status < 300:
            after = parse_retry_after(response.headers, self.clock.now())
            raise DeliveryError(f"HTTP status {status}", is_temporary=is_temporary(status), retry_after=after)
        if not response.body:
            return None
        try:
            return msgspec.json.decode(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    # --- Python

    async def _function(self, step: Step, run: RunState, context: RunContext, stored: StoredRun, attempts: int) -> Any:
        if stored.owner != PROJECT:  # a definition that an earlier version accepted
            raise DeliveryError(f"type: {workflow_catalog.OWN_FUNCTIONS}", is_temporary=False)
        values = engine.values_of(run, context)
        argument = FunctionRun(
            id=stored.id,
            workflow=stored.workflow,
            step=step.key,
            data=run.data,
            recipient=context.recipient,
            tenant=context.tenant,
            steps=values["steps"],
            attempt=attempts,
            idempotency_key=f"{stored.id}{STEP_SEPARATOR}{step.key}",
        )
        function, timeout = self.functions[step.fields["function"]], _seconds(step, run, context, FUNCTION_TIMEOUT_MS)
        try:
            async with self.destination(step, run, context, stored.tenant).call():
                result = await _result(function, argument, stored.tenant, timeout)
            return msgspec.json.decode(msgspec.json.encode(result))
        except Unavailable as error:
            raise DeliveryError(error.detail, is_temporary=True) from None
        except Exception as error:
            log.exception("step_function_failed", function=step.fields["function"], run=stored.id)
            raise DeliveryError(engine.described(error), is_temporary=True) from None


async def _result(function: StepFunction, argument: FunctionRun, tenant: str, seconds: float) -> Any:
    """Return the result of a function. Raises Unavailable without one in time."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            if inspect.iscoroutinefunction(function):
                return await function(argument)
            return await concurrency.call_in_thread(function, argument, tenant)
    except TimeoutError:
        if not limit.expired():  # the function's own
            raise
        raise Unavailable(f"no result within {seconds:g} s", is_timeout=True) from None


def _seconds(step: Step, run: RunState, context: RunContext, default: int) -> float:
    return (engine.duration(step, "timeout", run, context) if "timeout" in step.fields else default) / 1000
