"""The API reference: signatures, fields and docstrings of the public names, read from their source."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from importlib import import_module
from typing import Any, get_origin

from generators.docstrings import to_markdown

MODULES = (
    "qwen_agentkit",
    "qwen_agentkit.graphs",
    "qwen_agentkit.graphs.middleware",
    "qwen_agentkit.graphs.sample_tools",
    "qwen_agentkit.ingest",
    "qwen_agentkit.ray",
    "qwen_agentkit.parsing",
    "qwen_agentkit.verification",
    "qwen_agentkit.errors",
)


def sections() -> str:
    """Return a section for each module, with its public names in the order of its `__all__`."""
    return "".join(_describe_module(name) for name in MODULES)


def _describe_module(name: str) -> str:
    module = import_module(name)
    text = f"\n## {name}\n\n{to_markdown(inspect.getdoc(module) or '')}\n"
    for public in module.__all__:
        if not public.startswith("__"):
            text += f"\n### {public}\n\n{_describe(public, getattr(module, public))}"
    return text


def _describe(name: str, value: Any) -> str:
    """Return signature and docstring of a class or function; a constant has a type only."""
    value = getattr(value, "func", value)  # of a LangChain tool
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return _describe_constant(value)
    node = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    docstring = to_markdown(inspect.cleandoc(ast.get_docstring(node) or ""))  # type: ignore[arg-type]
    if not isinstance(node, ast.ClassDef):
        return f"{_signature(node)}\n{docstring}\n"
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    start = next((one for one in node.body if getattr(one, "name", "") == "__init__"), None)
    head = (
        _signature(start, name) if start else f"```python\nclass {name}{f'({bases})' if bases else ''}\n```\n"
    )
    return f"{head}\n{docstring}\n{_fields(value)}{_methods(node)}"


def _describe_constant(value: Any) -> str:
    """Return what a type stands for, without the modules of its parts; of another constant, its type."""
    if get_origin(value) is None:
        return f"A constant of type `{type(value).__name__}`.\n"
    text = re.sub(r"<class '([^']*)'>", r"\1", str(value))
    return f"The type `{re.sub(r'[a-z_]+[.]', '', text)}`.\n"


def _signature(node: Any, name: str | None = None) -> str:
    """Return the signature as a block, one argument a line when it is long."""
    arguments: ast.arguments = node.args
    if name and arguments.args:
        arguments.args = arguments.args[1:]  # self
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not name else ""
    prefix = "async def " if isinstance(node, ast.AsyncFunctionDef) else "class " if name else "def "
    line = f"{prefix}{name or node.name}({ast.unparse(arguments)}){returns}"
    if len(line) > 100:
        parts = ",\n    ".join(_split_arguments(arguments))
        line = f"{prefix}{name or node.name}(\n    {parts},\n){returns}"
    return f"```python\n{line}\n```\n"


def _split_arguments(arguments: ast.arguments) -> list[str]:
    """Return each argument with its annotation and default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = list(zip(positional, [*missing, *arguments.defaults], strict=True))
    parts = [_one_argument(argument, default) for argument, default in pairs]
    if arguments.vararg:
        parts.append("*" + ast.unparse(arguments.vararg))
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_one_argument(*pair) for pair in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        parts.append("**" + ast.unparse(arguments.kwarg))
    return parts


def _one_argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    if default is None:
        return text
    return f"{text} = {ast.unparse(default)}" if argument.annotation else f"{text}={ast.unparse(default)}"


def _fields(value: type) -> str:
    """Return a list of the public fields of a class and of its bases here, the nearest first."""
    rows: dict[str, str] = {}
    for base in value.__mro__:
        if base.__module__.startswith("qwen_agentkit"):
            node = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
            rows |= {name: row for name, row in _own_fields(node).items() if name not in rows}
    return "\nFields:\n\n" + "".join(rows.values()) if rows else ""


def _own_fields(node: Any) -> dict[str, str]:
    """Return the public fields of one class: type, default, and the text below each."""
    rows = {}
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if field.target.id.startswith("_") or "ClassVar" in ast.unparse(field.annotation):
            continue
        default = _default(field.value)
        row = f"- **`{field.target.id}`**: `{ast.unparse(field.annotation)}`{default}"
        text = _field_text(field.value, after)
        row += f"  \n  {text}" if text else ""
        rows[field.target.id] = row + "\n"
    return rows


def _field_text(value: ast.expr | None, after: ast.stmt | None) -> str:
    """Return what describes a field: the string below it, or the description of its `Field(...)`."""
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
        return " ".join(str(after.value.value).split()).replace("``", "`")
    description = _field_arguments(value).get("description")
    return str(ast.literal_eval(description)) if description else ""


def _field_arguments(value: ast.expr | None) -> dict[str | None, ast.expr]:
    if not (isinstance(value, ast.Call) and ast.unparse(value.func) == "Field"):
        return {}
    named = {keyword.arg: keyword.value for keyword in value.keywords}
    return {"default": value.args[0], **named} if value.args else named


def _default(value: ast.expr | None) -> str:
    """Return the default of a field, out of its `Field(...)` if there is one."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "Field":
        value = _field_arguments(value).get("default")
    return f" = `{ast.unparse(value)}`" if value else ""


def _methods(node: ast.ClassDef) -> str:
    """Return the public methods that have a docstring of their own."""
    text = ""
    for method in node.body:
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) or method.name.startswith("_"):
            continue
        docstring = ast.get_docstring(method)
        decorators = {ast.unparse(one) for one in method.decorator_list}
        if docstring is None or any("validator" in one for one in decorators):
            continue
        kind = " (property)" if decorators & {"property", "cached_property"} else ""
        text += f"\n#### {node.name}.{method.name}{kind}\n\n{_signature(method)}\n{to_markdown(docstring)}\n"
    return text
