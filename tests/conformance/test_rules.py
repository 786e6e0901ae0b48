"""The report's text and exit code."""

import json

import pytest

from jukemir_like.conformance.rules import BROKEN, KEPT, NOT_CAUGHT, ConformanceReport, Finding

GOOD = Finding("C1.start", "it starts", KEPT)
BAD = Finding("C10.names", "names can be read", BROKEN, tuple(f"fault {number}" for number in range(9)))
UNKNOWN = Finding("C12.SIGTERM", "it ends", NOT_CAUGHT, ("too fast",))


@pytest.mark.parametrize(
    ("findings", "code", "broken"),
    [([GOOD], 0, []), ([GOOD, BAD], 3, ["C10.names"]), ([GOOD, UNKNOWN], 3, ["C12.SIGTERM"]), ([], 0, [])],
)
def test_the_exit_code_is_0_only_where_every_rule_is_known_to_be_kept(findings, code, broken):
    report = ConformanceReport("some/image", "sha256:1", findings)
    assert (report.exit_code, report.broken) == (code, broken)
    assert json.loads(json.dumps(report.as_json()))["exit_code"] == code


def test_one_line_per_rule_and_the_faults_under_those_that_are_broken():
    assert ConformanceReport("some/image", "sha256:1", [GOOD, BAD, UNKNOWN], seconds=12.3, left="/tmp/x").text(most=2).splitlines() == [
        "C1.start     ok          it starts",
        "C10.names    BROKEN      names can be read",
        "                           fault 0",
        "                           fault 1",
        "                           … and 7 more",
        "C12.SIGTERM  NOT CAUGHT  it ends",
        "                           too fast",
        "some/image: keeps 1 of 3 rules of the contract (12 s)",
        "not removed, as it belongs to another user: /tmp/x",
    ]
