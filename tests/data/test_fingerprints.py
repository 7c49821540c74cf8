import os

import pytest

from casarbi.data import fingerprints, memory
from casarbi.data.folder import folder


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files whose content was hashed."""
    names, real = [], fingerprints.hash_file
    monkeypatch.setattr(fingerprints, "hash_file", lambda path: names.append(path.name) or real(path))
    return names


def test_fingerprint_depends_on_content_names_and_selection(put, tmp_path):
    put("a.png"), put("b.png", seed=1)
    first = folder(str(tmp_path)).fingerprint
    assert folder(str(tmp_path)).fingerprint == first
    assert folder(str(tmp_path), n=1).fingerprint != first
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    assert folder(str(tmp_path)).fingerprint != first


def test_equal_names_sizes_and_times_do_not_hide_other_pixels(put, tmp_path, settled):
    """In IBM/unitxt#7 the results of the old data came back."""
    path = put("0.bmp", seed=1)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    before, facts = folder(str(tmp_path)).fingerprint, path.stat()
    put("0.bmp", seed=2)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert folder(str(tmp_path)).fingerprint != before


@pytest.mark.skipif(os.name != "posix", reason="nothing is remembered there")
def test_second_run_hashes_only_what_changed(put, tmp_path, settled, hashed):
    put("a.png"), put("b.png", seed=1)
    first = folder(str(tmp_path)).fingerprint
    assert sorted(hashed) == ["a.png", "b.png"]
    hashed.clear()
    assert folder(str(tmp_path)).fingerprint == first and hashed == []
    put("b.png", seed=2)
    assert folder(str(tmp_path)).fingerprint != first and hashed == ["b.png"]


def test_file_changed_a_moment_ago_is_not_remembered(put, tmp_path, hashed):
    put("a.png")
    for _ in range(2):
        assert folder(str(tmp_path)).fingerprint
    assert hashed == ["a.png", "a.png"]


def test_clock_of_whole_seconds_is_not_trusted():
    assert not memory._is_telling([1, 2, 3, 4, 5 * 10**9])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a.png": 3}', "0\n{}", "\x00"])
def test_damaged_memory_counts_as_none(put, tmp_path, home, settled, text):
    put("a.png")
    first = folder(str(tmp_path)).fingerprint
    memories = list(home.glob("fingerprints/*.memory"))
    assert len(memories) == 2  # of digests and of headers
    good = [file.read_text() for file in memories]
    for file in memories:
        file.write_text(text)
    assert folder(str(tmp_path)).fingerprint == first
    assert [file.read_text() for file in memories] == good


def test_home_that_cannot_be_written_is_no_obstacle(put, tmp_path, monkeypatch, settled):
    blocker = put("a.png")
    monkeypatch.setenv("CASARBI_HOME", str(blocker))
    assert len(folder(str(tmp_path)).fingerprint) == 64


def test_vanished_file_does_not_stop_the_others(put, tmp_path):
    put("a.png"), put("b.png", seed=1)
    data = folder(str(tmp_path))
    (tmp_path / "a.png").unlink()
    assert data.digest("a") != data.digest("b")
