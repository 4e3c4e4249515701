"""Checks of the texts that stand in the steps of a workflow: the variables that its triggers lack, as of a template."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bellcast.rest.context import ApiContext
from bellcast.templates import content_checks, variables
from bellcast.templates.tenant_budget import in_thread
from bellcast.workflows import definitions, template_samples
from bellcast.workflows.workflow_catalog import WORKFLOWS


class StepFinding(Struct, frozen=True):
    """A variable that triggers do not have, or may leave out. `field` is the path of the text, such as `steps.1.subject`;
    `code` is `unknown_variable` or `missing_variable`."""

    field: str
    code: str
    message: str


async def findings(ctx: ApiContext, tenant: str, key: str, value: Mapping[str, Any]) -> list[StepFinding]:
    """Return what the author of a valid definition should see in its texts."""
    definition = definitions.of_valid(value)
    user = (WORKFLOWS, key, await template_samples.schema_of(ctx, tenant, definition))
    last = await template_samples.last_data(ctx, tenant, [user])
    contents = {step.key: step.content for step in definition.ordered if step.content is not None}

    def of_texts() -> Iterator[StepFinding]:
        declared = content_checks.DeclaredPaths(variables.schema_paths([user]))
        for path, step, present in _steps("steps", value["steps"], frozenset()):
            for field, text in contents[step["key"]].texts() if step["key"] in contents else ():
                used = [
                    replace(one, is_required=one.is_required and one.path not in present)
                    for one in variables.used_in([(text, field == "email.html")])
                ]
                for one in (*content_checks.of_variables(used, declared), *content_checks.of_last_data(used, last)):
                    yield StepFinding(f"{path}.{field.partition('.')[2]}", one.code, one.message)

    return await in_thread(tenant, lambda: list(islice(of_texts(), content_checks.MAX_FINDINGS)))


def _steps(
    path: str, steps: Sequence[Mapping[str, Any]], present: frozenset[str]
) -> Iterator[tuple[str, Mapping[str, Any], frozenset[str]]]:
    """Yield all steps with their paths, and with the variables that conditions test before they run: an author knows that
    these can be absent."""
    for number, step in enumerate(steps):
        here, own = f"{path}.{number}", present | {*variables.of_conditions(step.get("if"))}
        yield here, step, own
        for branch_number, branch in enumerate(step.get("branches", ())):
            inner = own | {*variables.of_conditions(branch["if"])}
            yield from _steps(f"{here}.branches.{branch_number}.steps", branch["steps"], inner)
        yield from _steps(f"{here}.else", step.get("else", ()), own)
