"""The OpenAPI document, and what of it the clients are generated from."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_NO_DATABASE = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    "DJANGO_SETTINGS_MODULE": "settings.test",
}
_NOT_FOR_CLIENTS = {"operations", "pages", "webhooks"}  # tags
# The service checks these, and reports every wrong field.
_CONSTRAINTS = {"maxItems", "maxLength", "minLength", "minimum", "pattern", "x-spec-enum-id"}
_REFERENCE = "#/components/schemas/"


def dump_document() -> dict[str, Any]:
    """Returns the document of this source tree. Needs no database."""
    argv = [sys.executable, str(_ROOT / "manage.py"), "spectacular", "--format", "openapi-json"]
    output = subprocess.run(
        argv, env=os.environ | _NO_DATABASE, check=True, capture_output=True, timeout=60
    ).stdout
    document: dict[str, Any] = json.loads(output)
    return document


def select_for_clients(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a smaller document: what clients call, each operation with its successes and, as the
    default response, problem details; no headers of responses, and the schemas that are used.
    """
    paths: dict[str, dict[str, Any]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "head" and not _NOT_FOR_CLIENTS & set(operation["tags"]):
                paths.setdefault(path, {})[method] = _select_responses(operation)
    all_schemas = document["components"]["schemas"]
    schemas = {name: all_schemas[name] for name in sorted(_used_schemas(paths, all_schemas))}
    selected = {"paths": paths, "components": {"schemas": schemas}}
    return {"openapi": document["openapi"], "info": document["info"], **_without_keys(selected)}


def _select_responses(operation: dict[str, Any]) -> dict[str, Any]:
    responses = operation["responses"]
    kept = {
        status: {key: value for key, value in response.items() if key != "headers"}
        for status, response in responses.items()
        if status < "400"
    }
    problem = {"description": "A problem.", "content": responses["500"]["content"]}
    return operation | {"responses": kept | {"default": problem}, "security": []}


def _used_schemas(node: Any, schemas: dict[str, Any]) -> set[str]:
    """Returns the names of all schemas that a part of the document refers to, also indirectly."""
    names: set[str] = set()
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix(_REFERENCE)
            if name in schemas and name not in names:
                names.add(name)
                todo.append(schemas[name])
            todo += node.values()
        elif isinstance(node, list):
            todo += node
    return names


def _without_keys(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_keys(each) for key, each in node.items() if key not in _CONSTRAINTS}
    return [_without_keys(each) for each in node] if isinstance(node, list) else node
