"""Names of container images: one name for one image, whichever way it was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanwang.core.image import IMAGE_CHARACTERS_MAX, full_name, is_image
from suanwang.core.jobspec import JobSpec

_DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("lab/torch", "docker.io/lab/torch:latest"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("INDEX.docker.io/library/python:3", "docker.io/library/python:3"),
        ("localhost/a", "localhost/a:latest"),
        ("registry.example:5000/lab/torch__x-y:2", "registry.example:5000/lab/torch__x-y:2"),
        ("Registry.Example/a:B", "registry.example/a:B"),
        (f"python@{_DIGEST}", f"docker.io/library/python@{_DIGEST}"),
        (f"r.example/a:1@{_DIGEST}", f"r.example/a:1@{_DIGEST}"),
    ],
)
def test_one_image_has_one_full_name(image: str, full: str) -> None:
    assert is_image(image)
    assert full_name(image) == full
    assert full_name(full) == full


def test_a_job_keeps_the_name_it_was_given_and_only_if_it_was_given_one() -> None:
    assert JobSpec(script="true").image is None
    assert "image" not in JobSpec(script="true").as_stored()
    stored = JobSpec(script="true", image="python:3").as_stored()
    assert stored["image"] == "python:3"
    assert JobSpec.model_validate(stored).image == "python:3"


@given(st.text(alphabet="aA0.-_:/@ \n$;'\"\\\x00é", max_size=40))
def test_what_is_taken_for_a_name_is_one_word_no_option_and_no_shell(text: str) -> None:
    if is_image(text):
        assert not text.startswith(("-", "/", "."))
        assert not set(text) & set(" \n$;'\"\\\x00é")
        assert len(full_name(text)) < IMAGE_CHARACTERS_MAX
    else:
        with pytest.raises(ValueError, match="no name"):
            full_name(text)
