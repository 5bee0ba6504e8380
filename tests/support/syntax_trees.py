"""Syntax trees of modules, made once for all tests of the style."""

import ast
from functools import cache

from shared.startup import uncollected


@cache
def tree_of(content: str) -> ast.Module:
    with uncollected():  # otherwise the collector scans the millions of nodes again and again, also in the tests that follow
        return ast.parse(content)


@cache
def nodes_of(content: str) -> tuple[ast.AST, ...]:
    """Return the tree and every node in it."""
    with uncollected():
        return tuple(ast.walk(tree_of(content)))
