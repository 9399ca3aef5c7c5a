"""The types of a verb's arguments, read from its source without running it.

Importing `train.run` imports torch and Lightning, which takes ten seconds. Whoever mistyped a number is told at once:
those types are looked up that stand in modules which import nothing heavy; the others are checked when the verb runs.
"""

import ast
import builtins
import importlib
import importlib.util
from pathlib import Path
from typing import Any

LIGHT = ("typing", "pathlib", "collections.abc", "pydantic", "data.", "train.settings", "train.losses.settings")


def light_types(function: str) -> dict[str, Any]:
    """Types of a verb's keyword arguments, as far as they are known without heavy imports.

    Args:
        function: the verb's, as `module:name`.
    """
    module, _, name = function.partition(":")
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    homes = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    definition = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    types: dict[str, Any] = {}
    for argument in definition.args.kwonlyargs:
        assert argument.annotation is not None, argument.arg
        names = {node.id for node in ast.walk(argument.annotation) if isinstance(node, ast.Name)}
        if all(hasattr(builtins, each) or homes.get(each, ("",))[0].startswith(LIGHT) for each in names):
            space = {each: _imported(*homes[each]) for each in names if each in homes}
            source = compile(ast.Expression(argument.annotation), found.origin, "eval")
            types[argument.arg] = eval(source, space)  # our own source, and nothing of it but a type
    return types


def _imported(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)
