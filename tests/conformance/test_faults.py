"""The kit finds nothing wrong with an image that keeps the contract, and in one with a single fault exactly what that fault breaks.

An image is judged by all rules for which nothing more has to be run than for those that it is expected to break.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jukemir_like import conformance

FAULTS = {
    # the fault, as representation.sh knows it: what is reported
    "always-fails": "C1.start",
    "hates-terminal": "C1.terminal",
    "no-mp3": "C2.endings C2.upper-case",
    "small-letters": "C2.upper-case",
    "mono-only": "C1.start C2.kinds C10.done",
    "flat": "C2.sub-folders C5.place",
    "folders-too": "C1.start C2.sub-folders",
    "hidden-files": "C2.hidden",
    "hidden-folders": "C2.hidden",
    "takes-anything": "C2.others",
    "lines": "C2.names C10.names",
    "unicode-only": "C2.names C10.names",
    "long-temporary": "C2.names",
    "no-order": "C3.order",
    "ignores-case": "C3.order",
    "by-length": "C3.order",
    "overlapping": "C3.order C4.partition",
    "short-batches": "C3.order C4.partition",
    "no-first-variable": "C4.first-variable",
    "no-second-variable": "C4.second-variable",
    "second-first": "C4.both-variables",
    "empty-counts": "C4.empty-variable",
    "variables-first": "C4.option-first",
    "variable-alone": "C4.variable-alone",
    "small-batches": "C4.large-batch",
    "shared-temporary": "C4.together",
    "flattens": "C5.place",
    "full-name": "C2.endings C2.upper-case C2.kinds C5.place C6.name",
    "no-line-feed": "C5.npy C6.name",
    "too-long": "C5.npy C6.name",
    "big-endian": "C5.dtype",
    "whole-numbers": "C5.dtype",
    "fortran": "C5.order",
    "matrix": "C5.rank",
    "not-finite": "C5.finite",
    "long-vectors": "C5.length",
    "no-values": "C5.length",
    "crowded": "C6.alone",
    "moody": "C6.again",
    "named": "C6.name",
    "batched": "C6.batch",
    "in-place": "C7.whole",
    "leaves-something": "C7.nothing-else",
    "visible-folder": "C7.nothing-else",
    "takes-any-option": "C8.unknown-option",
    "wrong-code": "C8.unknown-option",
    "takes-any-number": "C8.no-number",
    "takes-any-range": "C8.out-of-range",
    "takes-any-variable": "C8.wrong-variable",
    "index-alone": "C8.index-alone",
    "size-alone": "C8.size-alone",
    "past-the-end": "C8.past-the-end",
    "no-inputs": "C8.no-inputs",
    "one-output": "C8.one-output",
    "writes-first": "C8.nothing-written",
    "silent": "C8.says-why",
    "never-fails": "C9.code",
    "empty-vectors": "C9.no-output C10.failed",
    "keeps-older": "C9.older-output C9.turned-bad",
    "stops-at-bad": "C9.others C9.older-output C10.failed C10.no-digest",
    "stops-batch": "C9.batch",
    "no-failures": "C10.failed C10.no-digest",
    "bare-failures": "C10.failed",
    "long-failures": "C10.failed",
    "failed-is-done": "C10.failed",
    "always-digest": "C10.no-digest",
    "no-json": "C10.lines C10.all C10.failed C10.no-digest",
    "no-records": "C10.lines C10.all C10.failed C10.no-digest",
    "no-reason": "C10.fields C10.failed",
    "text-seconds": "C10.fields",
    "wrong-digest": "C10.digest",
    "says-kept": "C10.done",
    "reasoned": "C10.done",
    "no-duration": "C10.audio-seconds",
    "mono-seconds": "C10.audio-seconds",
    "own-signature": "C10.signature",
    "batch-signature": "C10.signature",
    "raw-names": "C10.names",
    "torn-line": "C10.torn-line",
    "never-resumes": "C11.kept",
    "by-date": "C9.turned-bad C11.changed C11.planted C11.signature",
    "any-line": "C11.changed-back C11.signature",
    "takes-the-record": "C11.deleted",
    "takes-what-is-there": "C9.turned-bad C11.changed C11.planted C11.signature",
    "any-signature": "C11.signature",
    "never-again": "C11.mended",
    "wrong-stop": "C12.SIGTERM",
    "slow-stop": "C12.SIGTERM",
    "ignores-int": "C12.SIGINT",
    "first-process-only": "C12.SIGTERM-init C12.SIGINT-init",
    "removes-on-stop": "C12.finished",
    "stop-lock": "C12.resumed",
    "lock": "C12.killed",
    "writes-root": "C13.read-only",
    "needs-written-input": "C13.read-only-input",
    "needs-network": "C13.network",
    "needs-capabilities": "C13.capabilities",
    "needs-privileges": "C13.privileges",
    "needs-home": "C13.home",
    "needs-something": "C13.all",
    "needs-name": "C13.user",
    "writes-input": "C13.input-untouched",
    "writes-root-if-allowed": "C13.elsewhere",
}
OTHERS = {
    # how the image is made: what is reported
    "no-folders": ({"folders": ("tmp", "var")}, "C1.volumes C13.not-root"),
    "root": ({"user": "0:0"}, "C13.not-root"),
    "no-label": ({"label": None}, "C14.label"),
    "another-contract": ({"label": "2"}, "C14.label"),
}
SIDE_BY_SIDE = 4  # most of the time an engine waits for something


def test_every_rule_is_broken_by_some_fault():
    broken = {name for names in FAULTS.values() for name in names.split()} | {
        names for _, expected in OTHERS.values() for names in expected.split()
    }
    assert broken == {rule.name for rule in conformance.rules()}


@pytest.mark.docker
@pytest.mark.slow
def test_an_image_that_keeps_the_contract_passes(representation):
    report = conformance.check(representation(pause_seconds=0.02), workers=SIDE_BY_SIDE)
    assert report.broken == [], report.text()
    assert report.exit_code == 0
    assert [finding.rule for finding in report.findings] == [rule.name for rule in conformance.rules()]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("clause", dict.fromkeys(names.partition(".")[0] for names in FAULTS.values()))
def test_a_fault_is_reported_and_nothing_else(representation, clause):
    faults = {fault: names for fault, names in FAULTS.items() if names.startswith(f"{clause}.")}
    images = {fault: representation(fault, pause_seconds=_pause_seconds(fault)) for fault in faults}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        reports = dict(zip(faults, pool.map(_judged, images.values(), faults.values()), strict=True))
    wrong = {fault: report for fault, report in reports.items() if sorted(report.broken) != sorted(faults[fault].split())}
    assert not wrong, "\n".join(f"{fault}: expected {faults[fault]}\n{report.text()}" for fault, report in wrong.items())
    assert {report.exit_code for report in reports.values()} == {3}


@pytest.mark.docker
@pytest.mark.parametrize("how", OTHERS)
def test_what_an_image_is_made_of_is_reported(representation, how):
    settings, expected = OTHERS[how]
    report = _judged(representation(**settings), expected)
    assert sorted(report.broken) == sorted(expected.split()), report.text()


def _pause_seconds(fault):
    """For a file. Without, images are quick; those that are to be interrupted must have something left to do."""
    if fault == "ignores-int":
        return 0.1  # it has to be seen going on
    return 0.02 if "C12" in FAULTS[fault] else 0.0


def _judged(image, expected):
    """By all rules for which nothing more has to be run than for the ``expected`` ones."""
    rules = conformance.rules()
    run = {scenario for rule in rules if rule.name in expected.split() for scenario in rule.scenarios}
    return conformance.check(image, only=[rule.name for rule in rules if set(rule.scenarios) <= run])
