"""What a run of the tests came to, read from pytest's JUnit report."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Outcome:
    kubernetes: str
    ceph: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    date: str
    """Of its end, as in 2026-01-31."""
    client: str
    """The version of the librados that the tests used."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why tests were skipped, and how many for each reason."""
    failures: list[str] = field(default_factory=list)
    """Without those of `passed_alone`."""
    passed_alone: list[str] = field(default_factory=list)
    """Those that failed beside others, and passed when they ran alone; not in `passed` or `failed`."""
    tests: str = "all"
    """Which were run."""

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def load(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)


def read(
    report: Path, passed_alone: Collection[str] = (), *, kubernetes: str, ceph: str, client: str, tests: str = "all"
) -> Outcome:
    """The sum of all suites in a JUnit report; an error counts as a failure, and a test counts once."""
    root = ET.parse(report).getroot()  # noqa: S314 - pytest wrote it just now
    reasons: Counter[str] = Counter()
    failures, passed, seconds, date = dict[str, None](), 0, 0.0, ""
    for suite in root.iter("testsuite"):
        seconds += float(suite.get("time", 0))
        date = max(date, suite.get("timestamp", "")[:10])
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failures[f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}"] = None
        elif (skipped := case.find("skipped")) is not None:
            reasons[skipped.get("message", "")] += 1
        else:
            passed += 1
    failed = [name for name in failures if name not in passed_alone]
    return Outcome(
        kubernetes,
        ceph,
        passed=passed,
        failed=len(failed),
        skipped=reasons.total(),
        seconds=seconds,
        date=date,
        client=client,
        reasons=dict(sorted(reasons.items())),
        failures=failed,
        passed_alone=[name for name in failures if name in passed_alone],
        tests=tests,
    )


def document(outcomes: list[Outcome]) -> str:
    """docs/versions.md: a table of what ran, and what did not and why."""
    lines = [
        "# Versions",
        "",
        "What the tests that start a real part were run on, and what came of it; without those marked `long`.",
        "`make test-matrix` writes this file.",
        "",
        "| Kubernetes | Ceph | librados of Sutler | tests | passed | alone | failed | skipped | minutes | date |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        alone = len(one.passed_alone)
        cells = (one.kubernetes, one.ceph, one.client, one.tests, one.passed, alone, one.failed, one.skipped)
        lines.append(f"| {' | '.join(map(str, cells))} | {one.seconds / 60:.0f} | {one.date} |")
    lines += ["", "## Skipped", ""]
    for one in outcomes:
        for reason, count in one.reasons.items():
            lines.append(f"- Kubernetes {one.kubernetes}, Ceph {one.ceph}: {count} tests: {reason}")
    lines += _named("Failed beside others, and passed alone", [(one, one.passed_alone) for one in outcomes])
    lines += _named("Failed", [(one, one.failures) for one in outcomes])
    return "\n".join(lines) + "\n"


def _named(title: str, tests: list[tuple[Outcome, list[str]]]) -> list[str]:
    """A section with these tests, if there are any."""
    lines = [f"- Kubernetes {one.kubernetes}, Ceph {one.ceph}: `{name}`" for one, names in tests for name in names]
    return ["", f"## {title}", "", *lines] if lines else []
