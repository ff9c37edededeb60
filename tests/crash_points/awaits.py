"""Every await of a module as two points: just before it, and just after it. They are found in the source.

`await x` becomes `await crash_at(name, x)`; `async with` and `async for` are treated alike, with their hidden awaits. A
new await is a new point without anybody's doing.
"""

import ast
from collections import Counter
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Kind of worker -> the modules whose awaits are its steps.
STEPS = {
    "lanes": ("agents.lane", "agents.decide", "agents.kafka"),
    "views": ("agents.projector", "agents.project", "agents.following", "views.projecting", "views.checkpoints"),
    "audit": ("agents.recorder",),
}
SIDES = ("before", "after")


class Awaits(ast.NodeTransformer):
    """Gives each await a name: module, class and function, and what is awaited."""

    def __init__(self, module: str) -> None:
        self.names: list[str] = []
        self._within = [module.partition(".")[2]]
        self._count: Counter[str] = Counter()

    def _enter(self, node: Any) -> ast.AST:
        self._within.append(node.name)
        self.generic_visit(node)
        self._within.pop()
        return node

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _enter

    def _named(self, what: str, node: ast.AST, steps: tuple[str, ...] = ("",)) -> ast.Constant:
        name = f"{'.'.join(self._within)}: {what}{ast.unparse(node)}"
        self._count[name] += 1
        if self._count[name] > 1:
            name += f" #{self._count[name]}"
        self.names += [f"{name}{step}" for step in steps]
        return ast.Constant(name)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        name = self._named("", node.value)
        self.generic_visit(node)
        node.value = _call("crash_at", name, node.value)
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        names = [self._named("with ", item.context_expr, (" enter", " exit")) for item in node.items]
        self.generic_visit(node)
        for name, item in zip(names, node.items, strict=True):
            item.context_expr = _call("CrashAround", name, item.context_expr)
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        name = self._named("for ", node.iter)
        self.generic_visit(node)
        node.iter = _call("CrashEach", name, node.iter)
        return node


def _call(function: str, name: ast.Constant, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), [name, argument], [])


def instrumented(module: str, source: str) -> tuple[ast.Module, list[str]]:
    """The module with its awaits named, and their names."""
    tree, awaits = ast.parse(source), Awaits(module)
    awaits.visit(tree)
    hooks = ast.parse("from tests.crash_points.hook import CrashAround, CrashEach, crash_at").body
    tree.body[1:1] = hooks  # the docstring stays first
    return ast.fix_missing_locations(tree), awaits.names


def points(kind: str) -> list[str]:
    """All points of a kind of worker."""
    names = (name for module in STEPS[kind] for name in instrumented(module, source_of(module))[1])
    return [f"{name} | {side}" for name in names for side in SIDES]


def source_of(module: str) -> str:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()


class Finder:
    """Finds the modules in the way of Python, and has them compiled with their points."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if not any(name in modules for modules in STEPS.values()):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader.get_code = lambda _: compile(instrumented(name, source_of(name))[0], spec.origin, "exec")
        return spec
