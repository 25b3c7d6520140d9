"""Everything that the load tester refuses is one kind of error, and the tree shows all of them."""

from __future__ import annotations

import importlib
import pkgutil
import re

import loadtest
from loadtest import errors
from loadtest.errors import LoadtestError


def test_the_tree_names_every_error() -> None:
    for module in pkgutil.iter_modules(loadtest.__path__, "loadtest."):
        if not module.ispkg and module.name != "loadtest.__main__":
            importlib.import_module(module.name)
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(error.__name__ for error in LoadtestError.__subclasses__())
