"""The pages made from the packages: every fact of every measure, with an example that works."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from suanwang import policy
from suanwang.policy.publish import example_facts

HOME = Path(__file__).parents[2]
PACKAGES = [policy.load(folder) for folder in policy.packages(HOME / "policies")]


def generator() -> ModuleType:
    pytest.importorskip("mkdocs", reason="the docs are not built here")
    spec = importlib.util.spec_from_file_location("generate", HOME / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_example_of_every_measure_can_be_decided(package: policy.Package) -> None:
    for name in package.measures:
        decision = package.decide(name, example_facts(package, name), package.valid_from)
        assert decision.package_hash == package.content_hash


def test_every_fact_of_every_measure_is_on_its_page_with_an_example() -> None:
    pages = generator().policy_pages()
    for package in PACKAGES:
        page = pages[f"reference/policies/{package.name}.md"]
        examples = [json.loads(found) for found in re.findall(r"```json\n(.*?)\n```", page, re.S)]
        asked = [measure.facts for measure in package.measures.values() if measure.facts]
        assert [tuple(example) for example in examples] == [tuple(facts) for facts in asked]
        for facts in asked:
            assert all(f"| `{fact}` |" in page for fact in facts)
        assert str(package.valid_to) in page
