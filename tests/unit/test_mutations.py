"""The list of faults follows the code: one that no longer applies would prove nothing."""

from __future__ import annotations

import pytest

from tests.mutations import ROOT, Mutation, mutations

MUTATIONS = mutations()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_applies_once(mutation: Mutation) -> None:
    source = (ROOT / mutation.file).read_text("utf-8")
    assert mutation.text(source) != source


def test_each_mutation_has_a_name_of_its_own() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert sorted(set(names)) == sorted(names)
