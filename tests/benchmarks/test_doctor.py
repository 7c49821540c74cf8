from dataclasses import replace

import pytest

from benchmarks import doctor
from benchmarks.metrics import METRIC_NAMES
from casarbi.weights import CATALOGUE


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("CASARBI_HOME", str(tmp_path / "casarbi"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_every_metric_is_healthy_or_says_what_it_lacks(name):
    check = doctor.check_metric(name)
    assert check.status in ("ok", "unavailable")
    assert check.status == "ok" or check.mend


def test_another_value_is_a_failure(monkeypatch):
    info = doctor.metric_info("ssim")
    monkeypatch.setattr(doctor, "metric_info", lambda name: replace(info, example=info.example + 0.001))
    check = doctor.check_metric("ssim")
    assert check.status == "failed" and "expected 0.79182" in check.detail


def test_a_metric_that_raises_is_a_failure_and_not_the_end(monkeypatch):
    def broken(name):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(doctor, "create_metric", broken)
    assert doctor.check_metric("psnr").detail == "RuntimeError: no such kernel"


def test_without_weights_each_says_how_to_get_them(no_weights):
    checks = {check.name: check for check in doctor.diagnose()}
    assert checks["st-lpips-alex"].mend == "casarbi-bench weights fetch stlpips-alex"
    assert checks["fid"].mend.startswith("put https://") and checks["kid"].status == "unavailable"
    assert {f"weights {name}" for name in CATALOGUE} <= checks.keys()
    assert all(check.mend for check in checks.values() if check.status == "unavailable" and check.name != "device cuda")


def test_damaged_weights_are_a_failure(no_weights):
    path = CATALOGUE["stlpips-alex"].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")
    assert doctor.check_metric("st-lpips-alex").status == "failed"
    assert {check.name: check.status for check in doctor.diagnose()}["weights stlpips-alex"] == "failed"


def test_devices_and_versions_are_listed(no_weights):
    names = {check.name for check in doctor.diagnose()}
    assert {"device cpu", "library torch", "library scikit-image"} <= names
