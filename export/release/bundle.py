"""predict.py of a release: `export.release.predict` with the modules of Setpoint that it stands on written into it.

What decodes, samples and tokenises in a release is thus the very text that did so in training and scoring.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "data.preprocessing",
    "data.photo",
    "data.clip_packets",
    "data.clip_frames",
    "data.clip_pixels",
    "data.clip",
    "data.sound",
    "data.media",
    "data.text",
    "export.scoring.batch",
    "export.release.predictor",
)
MAIN = "export.release.predict"
OWN_PACKAGES = ("data", "export")


def bundle_predict() -> str:
    """The source of predict.py; the same code gives the same text."""
    imports: dict[str, set[str]] = {}
    sections = []
    names: dict[str, str] = {}
    for module in (*MODULES, MAIN):
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        tree = ast.parse(source)
        for name in _defined(tree):
            assert name not in names, f"{name} stands in {names[name]} and in {module}: predict.py needs one of each"
            names[name] = module
        _collect_imports(tree, imports)
        sections.append(f"# From {module.replace('.', '/')}.py\n\n{_body(source, tree)}")
    main = ast.parse((ROOT / f"{MAIN.replace('.', '/')}.py").read_text(encoding="utf-8"))
    docstring = ast.get_docstring(main, clean=False)
    plain = sorted(f"import {name}" for name in imports.pop("", set()))
    chosen = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(imports.items())]
    head = f'"""{docstring}"""\n\n' + "\n".join([*plain, *chosen])
    return "\n\n\n".join([head, *sections]) + "\n"


def _defined(tree: ast.Module) -> list[str]:
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return [name for name in names if name != "__all__"]


def _collect_imports(tree: ast.Module, imports: dict[str, set[str]]) -> None:
    """Add a module's imports: names by module, whole modules under ''; modules written into predict.py go."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            imports.setdefault("", set()).update(ast.unparse(alias) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            if module.split(".", maxsplit=1)[0] not in OWN_PACKAGES:
                imports.setdefault(module, set()).update(ast.unparse(alias) for alias in node.names)
                continue
            assert module in MODULES, f"predict.py does not hold {module}"
            assert not any(alias.asname for alias in node.names), f"no renaming of {module} in predict.py"


def _body(source: str, tree: ast.Module) -> str:
    """The text of a module without its docstring, its imports and `__all__`; comments stay."""
    lines = source.splitlines()
    for place, node in enumerate(tree.body):
        is_docstring = place == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if is_docstring or is_all or isinstance(node, ast.Import | ast.ImportFrom):
            assert node.end_lineno is not None
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines).strip()
