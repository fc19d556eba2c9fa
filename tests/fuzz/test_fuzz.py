"""A short version of `make soak PART=fuzz`, and all that the long one has ever found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fuzz.target import CORPUS, Target, Told, corpus, fuzz, tried, watched
from fuzz.targets import TARGETS

# Of each, in about a second: these numbers are no proof, the corpus and the long version are.
INPUTS = {
    "wire": 2_000,
    "settings": 2_000,
    "provider": 2_000,
    "worker": 2_000,
    "document": 1_000,
    "wake.d": 500,
    "hook": 1_000,
    "home": 400,
    "doctor": 30,
    "daemon": 300,
}


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    made = TARGETS[request.param]()
    yield made
    made.close()


@pytest.mark.parametrize("target", TARGETS, indirect=True)
def test_what_is_nearly_right_is_taken_or_refused_in_words(target: Target) -> None:
    told = Told()
    fuzz(target, INPUTS[target.name], "make test", told)
    assert told.inputs == INPUTS[target.name]
    assert len(told.answers) > 1, told


@pytest.mark.parametrize("target", [name for name in TARGETS if corpus(name)], indirect=True)
def test_what_was_once_found_is_answered(target: Target) -> None:
    with watched():
        for path in corpus(target.name):
            tried(target, path.read_bytes())


def test_the_corpus_is_of_targets_that_are_there() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
