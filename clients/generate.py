"""Generates the clients from the OpenAPI document: `make clients`.

    python -m clients.generate

What it writes is committed, below `clients/`; a test generates it again and compares.
The types are made by datamodel-code-generator and openapi-typescript, lists of operations and of
errors here, and the synchronous Python client from the asynchronous one.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from clients.document import dump_document, select_for_clients
from local.node import install_npm_packages, npm_program_command

CLIENTS = Path(__file__).parent
PYTHON, TYPESCRIPT = Path("python/src/rollcall_client"), Path("typescript/src")
_PYTHON_MODULES = ("models", "operations", "problems")
_SYNC_MODULES = ("sync_backend", "sync_client", "sync_connection")
# Fields whose values `repr` does not show.
_SECRETS = ("Session.token", "SignInChallenge.challenge")
_HEADER = "Generated from the OpenAPI document by `make clients`: do not edit."
_TIMEOUT = 120.0  # seconds for each generator
_TO_SYNC = {
    "async def": "def",
    "await ": "",
    "from asyncio import Lock": "from threading import Lock",
    "from asyncio import sleep": "from time import sleep",
    "Awaitable[None]": "None",
    "from collections.abc import Awaitable, Callable": "from collections.abc import Callable",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "Async": "",
    "async_": "sync_",
    "async with": "with",
    "asynchronous": "synchronous",
    "; `make clients` makes the synchronous one of it": "",
}


def generate_python(folder: Path, document: dict[str, Any]) -> list[Path]:
    """Writes the generated modules of the Python client below `folder`; returns their paths there.

    `document` is what `select_for_clients` returns.
    """
    paths = {name: PYTHON / f"{name}.py" for name in (*_PYTHON_MODULES, *_SYNC_MODULES)}
    (folder / PYTHON).mkdir(parents=True, exist_ok=True)
    _run_datamodel_codegen(document, folder / paths["models"])
    (folder / paths["operations"]).write_text(_render_operations(document))
    (folder / paths["problems"]).write_text(_render_problems(_error_codes(document)))
    for name in _SYNC_MODULES:
        (folder / paths[name]).write_text(_render_sync(name))
    _run_ruff(*(folder / path for path in paths.values()))
    return list(paths.values())


def generate_typescript(folder: Path, document: dict[str, Any]) -> list[Path]:
    """Writes the generated modules of the TypeScript client, as `generate_python` does.

    Raises `StackError` if there is no Node.js or npm.
    """
    schema, problems = TYPESCRIPT / "schema.ts", TYPESCRIPT / "problems.ts"
    (folder / TYPESCRIPT).mkdir(parents=True, exist_ok=True)
    _run_openapi_typescript(document, folder / schema)
    codes = _error_codes(document)
    (folder / problems).write_text(_render_typescript_problems(codes))
    return [schema, problems]


def _error_codes(document: dict[str, Any]) -> dict[str, str]:
    """Returns the text of each error code."""
    codes: dict[str, str] = document["components"]["schemas"]["ErrorCode"]["x-enumDescriptions"]
    return codes


def _run_datamodel_codegen(document: dict[str, Any], output: Path) -> None:
    secrets = dict.fromkeys(_SECRETS, "rollcall_client.secret.Secret")
    options = """--input-file-type openapi --output-model-type dataclasses.dataclass
        --frozen-dataclasses --keyword-only --enum-field-as-literal all --collapse-root-models
        --output-datetime-class datetime --target-python-version 3.12 --disable-future-imports
        --use-schema-description --use-single-line-docstring --formatters builtin"""
    argv = [str(Path(sys.executable).parent / "datamodel-codegen"), *options.split()]
    argv += ["--output", str(output), "--ignore-pyproject"]
    argv += ["--type-overrides", json.dumps(secrets), "--custom-file-header", f"# {_HEADER}"]
    subprocess.run(argv, input=json.dumps(document).encode(), check=True, timeout=_TIMEOUT)


def _run_openapi_typescript(document: dict[str, Any], output: Path) -> None:
    folder = CLIENTS / "typescript"
    install_npm_packages(folder)
    argv = npm_program_command(folder, "openapi-typescript")
    argv += ["--output", str(output), "--root-types", "--root-types-no-schema-prefix"]
    argv += ["--default-non-nullable", "false"]
    standard_input = json.dumps(document).encode()
    subprocess.run(argv, input=standard_input, check=True, timeout=_TIMEOUT, capture_output=True)
    _, _, types = output.read_text().partition("*/\n")  # after the generator's own header
    output.write_text(f"// {_HEADER}\n{types}")


def _run_ruff(*files: Path) -> None:
    ruff = str(Path(sys.executable).parent / "ruff")
    config = ["--config", str(CLIENTS.parent / "pyproject.toml"), "--no-cache", "--quiet"]
    sort_imports = ["check", "--select", "I", "--fix"]
    for command in (sort_imports, ["format"]):
        subprocess.run([ruff, *command, *config, *map(str, files)], check=True, timeout=_TIMEOUT)


def _render_operations(document: dict[str, Any]) -> str:
    project = tomllib.loads((CLIENTS.parent / "pyproject.toml").read_text())["project"]
    schemas = document["components"]["schemas"]
    lines = [
        f'"""The operations of the API.\n\n{_HEADER}\n"""\n',
        "from typing import Any\n\nfrom rollcall_client import models",
        "from rollcall_client.operation import Operation\n",
        f'VERSION = "{project["version"]}"',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = _schema_name(operation.get("requestBody", {}), schemas)
            result = _schema_name(next(iter(operation["responses"].values())), schemas)
            types = "Any, Any" if result == "Any" else f"{body}, {result}"
            lines.append(
                f"{_snake_case(operation['operationId']).upper()} = Operation[{types}]"
                f'("{method.upper()}", "{path}", {result.replace("Any", "None")})'
            )
    return "\n".join(lines) + "\n"


def _schema_name(message: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Returns the class of a JSON body, as source: `None` if there is none, `Any` if it has one of
    several.
    """
    content = message.get("content", {}).get("application/json")
    if not content:
        return "None"
    name = content["schema"]["$ref"].rpartition("/")[2]
    return f"models.{name}" if "oneOf" not in schemas[name] else "Any"


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _class_name(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_"))


def _render_problems(codes: dict[str, str]) -> str:
    parts = [
        f'"""An error for each code of the API.\n\n{_HEADER}\n"""\n',
        "from rollcall_client.errors import RollcallError",
    ]
    for code, detail in codes.items():
        parts.append(f'class {_class_name(code)}(RollcallError):\n    """{detail}"""\n')
        parts.append(f'    code = "{code}"')
    classes = "".join(f'    "{code}": {_class_name(code)},\n' for code in codes)
    parts.append(f"BY_CODE: dict[str, type[RollcallError]] = {{\n{classes}}}")
    return "\n".join(parts) + "\n"


def _render_typescript_problems(codes: dict[str, str]) -> str:
    parts = [f"// {_HEADER}", 'import { RollcallError } from "./errors.js";']
    parts.append('import type { ErrorCode } from "./schema.js";\n')
    for code, detail in codes.items():
        parts.append(f"/** {detail} */")
        parts.append(f"export class {_class_name(code)} extends RollcallError {{}}")
    parts.append("\nexport const BY_CODE: Record<ErrorCode, typeof RollcallError> = {")
    parts += [f"  {code}: {_class_name(code)}," for code in codes]
    return "\n".join([*parts, "};"]) + "\n"


def _render_sync(name: str) -> str:
    """Returns the source of a synchronous module, made from that of the asynchronous one."""
    source = (CLIENTS / PYTHON / f"a{name}.py").read_text()
    for old, new in _TO_SYNC.items():
        source = source.replace(old, new)
    return f"# Generated from a{name}.py by `make clients`: do not edit.\n{source}"


if __name__ == "__main__":
    selected = select_for_clients(dump_document())
    generate_python(CLIENTS, selected)
    generate_typescript(CLIENTS, selected)
