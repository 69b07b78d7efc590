"""Python source, parsed."""

import ast
import gc
from pathlib import Path


def syntax_tree(text: str) -> ast.Module:
    """The syntax tree of `text`, made while the garbage collector rests.

    A finalizer that runs meanwhile has CPython 3.11.7 raise SystemError "AST constructor recursion depth mismatch"
    (https://github.com/python/cpython/issues/106905).
    """
    running = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if running:
            gc.enable()


def syntax_tree_of(path: Path) -> ast.Module:
    return syntax_tree(path.read_text(encoding="utf-8"))
