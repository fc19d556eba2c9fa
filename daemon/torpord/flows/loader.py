"""From what the settings say of a flow to the flow itself, checked."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torpord.flows.api import Flow
from torpord.flows.errors import FlowError

Spec = dict[str, Any]


def load(spec: Spec) -> Flow:
    """Return the flow of a spec. Raises FlowError with a text its author can act on."""
    module, _, attribute = str(spec["python"]).partition(":")
    if spec.get("path"):
        sys.path.insert(0, spec["path"])
    flow = getattr(importlib.import_module(module), attribute)
    if not isinstance(flow, Flow):
        raise FlowError(spec["name"], [f"{spec['python']} is not a Flow"])
    return flow
