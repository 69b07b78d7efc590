"""A check is described in one place: its id is written down in its declaration, in `follows` of others,
and in translations.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.core.paths import ROOT
from tests.support.source import syntax_tree

ID = re.compile(r"\b(INF|CFG|NET|DEP|IMG|JOB|ORC|E2E|LOAD)-\d\d\b")
READS = re.compile(r"\breads\(\"[^\"]*\"\)")  # at a field of the profile: the checks that read it
PRODUCT = [
    file
    for file in sorted((ROOT / "fixtures").rglob("*"))
    if file.suffix in (".py", ".toml", ".j2", ".css", ".json") and file.name != "es.toml"
]
CHECKS = sorted((ROOT / "tests" / "e2e").glob("*.py"))


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def test_no_product_module_names_a_check() -> None:
    assert len(PRODUCT) > 150
    named = [
        f"{name(file)}:{number}: {line.strip()}"
        for file in PRODUCT
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if ID.search(READS.sub("", line))
    ]
    assert not named, "say what is meant, or declare a property of the check:\n" + "\n".join(named)


def declared(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Where a declaration may name checks: its own id, `follows`, and module constants that `follows` is made of."""
    places: list[ast.AST] = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("check", "case"):
            places += node.args[:1]
            places += [keyword.value for keyword in node.keywords if keyword.arg in ("id", "follows")]
    for place in places:
        for inner in ast.walk(place):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and ID.fullmatch(inner.value):
                yield inner.lineno, inner.col_offset


@pytest.mark.parametrize("file", CHECKS, ids=name)
def test_a_check_names_others_only_as_those_that_it_follows(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    allowed = set(declared(syntax_tree(text)))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    named = [
        f"{name(file)}:{token.start[0]}: {token.string.strip()[:100]}"
        for token in tokens
        if token.type != tokenize.NEWLINE and ID.search(token.string) and token.start not in allowed
    ]
    assert not named, "say what is meant instead:\n" + "\n".join(named)
