"""Where no box can be booted its tests are skipped, and say why."""

from __future__ import annotations

import os
import pathlib

import pytest

from service import box as boxes


def test_without_root_or_systemd_or_in_a_place_not_seen_inside_the_reason_is_told(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(boxes, "SYSTEMD", tmp_path)
    monkeypatch.setattr(boxes, "HERE", pathlib.Path("/tmp/torpor/tests/service"))
    assert (
        boxes.why_not()
        == "/tmp/torpor/tests/service is not seen inside: the box and the units have a /tmp of their own"
    )
    monkeypatch.setattr(boxes, "SYSTEMD", tmp_path / "none")
    assert boxes.why_not() == f"no systemd here ({tmp_path}/none)"
    monkeypatch.setattr(os, "geteuid", lambda: 1500)
    assert boxes.why_not() == "a systemd of its own needs root"
