"""What the doctor says of packages, and how its findings are laid out."""

from pathlib import Path

import numpy as np

from kmtalk_core.command.doctor import Finding, format_report, package


def test_a_package_is_named_with_its_version_and_place():
    found = package("numpy", "numpy", "arrays", False)
    assert found.works and found.state == np.__version__ and Path(found.where) == Path(np.__file__).parent
    assert f"{np.__version__}  [{found.where}]" in format_report([found])


def test_what_is_missing_comes_with_its_remedy():
    found = package("no-such-package", "no_such_package", "this test", False)
    report = format_report([found, Finding("x", False, "missing", "get x", optional=True)])
    assert report.splitlines()[0].startswith("MISSING no-such-package") and "for this test" in report
    assert "pip install no-such-package" in report and "get x" in report
    assert report.endswith("Needed and missing: no-such-package.")
