"""Checks the structure of the source tree: `python -m tests.house`.

Prints circles of imports, packages that import each other, class names that are used twice, files over 400 lines, and
functions with more than eight parameters. An entry that stays needs a reason in REASONS. The exit status is 1 if an
entry has no reason, or if a reason belongs to no entry.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_LINES = 400
MAX_PARAMETERS = 8
CIRCLES, PACKAGES, CLASSES, FILES, PARAMETERS = (
    "circles of imports",
    "packages that import each other",
    "class names used twice",
    f"files over {MAX_LINES} lines",
    f"functions with more than {MAX_PARAMETERS} parameters",
)

PUBLIC = "public keyword arguments, in one place; they become a struct at once"
SPELT_OUT = "public: spells out the fields of WindowSpec, so that signatures and completion show every argument"

TEST_DOUBLE = "a test double: each test names the few of its defaults that it changes"

SOURCE = "one file a source: a reader finds all that is known of one API in one place"
COMMAND = "click passes one argument for each option of a command"

# Reasons by the entry as it is printed.
REASONS: dict[str, dict[str, str]] = {
    CIRCLES: {},
    PACKAGES: {},
    CLASSES: {},
    FILES: {
        "energywh/sources/caiso.py": SOURCE,
        "energywh/sources/eia.py": SOURCE,
        "energywh/sources/eia_files.py": SOURCE,
        "energywh/sources/open_meteo.py": SOURCE,
    },
    PARAMETERS: {
        "energywh.cli.check.check": COMMAND,
        "energywh.cli.simulate.simulate": COMMAND,
        "energywh.cli.sql.sql": COMMAND,
        "energywh.cli.sync.sync": COMMAND,
        "energywh.datasets.windows.sampler.Batched.batches": PUBLIC,
        "energywh.simulate.server.Simulator.__init__": TEST_DOUBLE,
        "energywh.models.build.as_of.build_as_of": "public: the arguments of build(), the moment and the file",
        "energywh.warehouse.Warehouse.dataset": SPELT_OUT,
        "energywh.warehouse.Warehouse.folds": SPELT_OUT,
        "energywh.warehouse.Warehouse.windows": SPELT_OUT,
    },
}


@dataclass(frozen=True)
class Imports:
    """The modules that one module imports at module level, not inside functions.

    Attributes:
        typing: those imported under `if TYPE_CHECKING:`.
    """

    loaded: set[str] = field(default_factory=set)
    typing: set[str] = field(default_factory=set)


def modules(root: Path, package: str) -> dict[str, ast.Module]:
    """The parsed modules of a package under `root`, by their dotted names."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module, known: Mapping[str, ast.Module]) -> Imports:
    """Imports of the `known` modules; all imports of the tree are absolute."""
    found = Imports()

    def visit(body: Sequence[ast.stmt], names: set[str]) -> None:
        for node in body:
            match node:
                case ast.Import():
                    names.update(alias.name for alias in node.names if alias.name in known)
                case ast.ImportFrom(module=str(source)):
                    inner = {f"{source}.{alias.name}" for alias in node.names}
                    names.update(inner & known.keys())
                    if inner - known.keys() and source in known:
                        names.add(source)
                case ast.If() if "TYPE_CHECKING" in ast.unparse(node.test):
                    visit(node.body, found.typing)
                    visit(node.orelse, names)
                case ast.If() | ast.Try() | ast.With() | ast.ClassDef():
                    for part in ("body", "orelse", "finalbody"):
                        visit(getattr(node, part, []), names)
                    for handler in getattr(node, "handlers", []):
                        visit(handler.body, names)

    visit(tree.body, found.loaded)
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module, each sorted."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in graph[todo.pop()] - seen:
                seen.add(name)
                todo.append(name)
        return seen

    reached = {name: reach(name) for name in graph}
    found = {tuple(sorted(o for o in reached[name] if name in reached[o])) for name in graph if name in reached[name]}
    return [list(circle) for circle in sorted(found)]


def find_circles(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Circles of imports; a circle that only `if TYPE_CHECKING:` closes is marked."""
    found = {name: imports(tree, trees) for name, tree in trees.items()}
    loaded = circles({name: each.loaded for name, each in found.items()})
    for circle in circles({name: each.loaded | each.typing for name, each in found.items()}):
        only_typing = not any(set(other) <= set(circle) for other in loaded)
        yield ", ".join(circle) + (" (closed by TYPE_CHECKING)" if only_typing else "")


def find_packages(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Circles of packages, by the imports of their modules; a package and one inside of it may import each other."""
    packages = {name.rpartition(".")[0] for name in trees}

    def package(name: str) -> str:
        return name if name in packages else name.rpartition(".")[0]

    graph: dict[str, set[str]] = {name: set() for name in packages}
    for name, tree in trees.items():
        found, ours = imports(tree, trees), package(name)
        for other in map(package, found.loaded | found.typing):
            if not f"{other}.".startswith(f"{ours}.") and not f"{ours}.".startswith(f"{other}."):
                graph[ours].add(other)
    yield from map(", ".join, circles(graph))


def find_classes(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Class names, nested classes included, that are defined in two places."""
    places = defaultdict(list)
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    yield from (f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1)


def find_files(root: Path) -> Iterator[str]:
    """Python and SQL files that are too long."""
    for path in sorted([*root.glob("energywh/**/*.py"), *root.glob("sql/**/*.sql")]):
        if len(path.read_text("utf-8").splitlines()) > MAX_LINES:
            yield path.relative_to(root).as_posix()


def find_parameters(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Functions with too many parameters; `self` and `cls` are not counted."""

    def visit(node: ast.AST, name: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = f"{name}.{child.name}" if isinstance(child, ast.FunctionDef | ast.ClassDef) else name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                named = child.args.posonlyargs + child.args.args + child.args.kwonlyargs
                rest = [each for each in (child.args.vararg, child.args.kwarg) if each]
                if sum(each.arg not in ("self", "cls") for each in named + rest) > MAX_PARAMETERS:
                    yield inner
            yield from visit(child, inner)

    for name, tree in trees.items():
        yield from dict.fromkeys(visit(tree, name))


def look(root: Path) -> dict[str, list[str]]:
    """All entries of the tree at `root`, by kind."""
    trees = modules(root, "energywh")
    return {
        CIRCLES: list(find_circles(trees)),
        PACKAGES: list(find_packages(trees)),
        CLASSES: list(find_classes(trees)),
        FILES: list(find_files(root)),
        PARAMETERS: list(find_parameters(trees)),
    }


def without_reason(found: Mapping[str, list[str]], reasons: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Entries without a reason, and reasons without an entry."""
    left = []
    for kind, entries in found.items():
        left += [f"{kind}: {entry}" for entry in entries if entry not in reasons[kind]]
        left += [f"{kind}: {entry}: not found; delete its reason" for entry in reasons[kind] if entry not in entries]
    return left


def main() -> int:
    """Print all entries with their reasons."""
    found = look(Path(__file__).parents[1])
    for kind, entries in found.items():
        print(f"{kind}: {len(entries) or 'none'}")
        for entry in entries:
            print(f"  {entry}" + (f"\n    {REASONS[kind][entry]}" if entry in REASONS[kind] else ""))
    left = without_reason(found, REASONS)
    if left:
        print(f"\nTo mend, or to give a reason in {Path(__file__).name}:", *left, sep="\n  ")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
