"""Huge pages are asked of the kernel for the moment a server starts, where they may and can be had."""

from pathlib import Path

import pytest

from bench import huge_pages


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's file, with three kept for somebody else."""
    path = tmp_path / "nr_hugepages"
    path.write_text("3\n")
    monkeypatch.setattr(huge_pages, "RESERVED", path)
    return path


def test_they_are_kept_for_as_long_as_it_takes(kept: Path) -> None:
    with huge_pages.reserved(4) as there_are:
        assert there_are
        assert kept.read_text() == "7\n"
    assert kept.read_text() == "3\n"


def test_they_are_given_back_where_starting_failed(kept: Path) -> None:
    with pytest.raises(RuntimeError), huge_pages.reserved(4):
        raise RuntimeError
    assert kept.read_text() == "3\n"


def test_a_kernel_that_has_fewer_says_so(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, text: write(path, f"{min(int(text), 6)}\n"))
    with huge_pages.reserved(4) as there_are:
        assert not there_are
    assert kept.read_text() == "3\n"


def test_no_more_than_half_of_the_free_memory(kept: Path) -> None:
    with huge_pages.reserved(1 << 40) as there_are:
        assert not there_are
        assert kept.read_text() == "3\n"


def test_where_the_kernel_has_no_such_thing(kept: Path) -> None:
    kept.unlink()
    kept.mkdir()
    with huge_pages.reserved(4) as there_are:
        assert not there_are
