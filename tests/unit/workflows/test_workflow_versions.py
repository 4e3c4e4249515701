"""Workflow versions in requests: numbers that no store can hold are refused."""

import msgspec
import pytest

from bellcast.rest import objects
from bellcast.workflows import http as workflows


@pytest.mark.parametrize("version", [0, -1, 2**31, 2**63, 2**80])
def test_impossible_versions_are_refused(version: int) -> None:
    for type in (objects.VersionQuery, workflows.WorkflowChange):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"version": version}, type)
