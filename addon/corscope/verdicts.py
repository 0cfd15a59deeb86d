"""What is said of an exchange: the verdict of a record as things stand. Reads records and changes none."""

from corscope.causes import Answer
from corscope.engine import Fault, Faults
from corscope.findings import conditional_finding, devtools_error, fault_findings, finding, record_findings
from corscope.model import NO_HINTS, Credentials, Finding, Kind, Outcome, RequestMode, Verdict
from corscope.privacy import shown_origin
from corscope.stories import Record


def verdict_of(record: Record) -> Verdict:
    """Say what is known of an exchange now."""
    exchange, story = record.exchange, record.story
    credentials, origin = story.credentials, shown_origin(record.origin)
    # Where both would fail for different reasons and the mode is unknown, the fault that needs mending either way.
    faults = record.if_include if credentials is Credentials.INCLUDE else record.if_omit
    findings, hints = record.findings, record.hints
    withheld: tuple[Finding, ...] = ()
    if hints is not NO_HINTS:
        findings += hints.of(credentials)
        if credentials is Credentials.INCLUDE:
            withheld = hints.withheld
    # Field by field, which takes a third of the time of a call with so many arguments; every exchange comes by here.
    verdict = object.__new__(Verdict)
    verdict.flow_id = exchange.id
    verdict.timestamp = exchange.started
    verdict.method = exchange.method.decode("latin-1")
    verdict.url = record.url
    verdict.status = exchange.status or 0
    verdict.kind = record.kind
    verdict.mode = record.mode
    verdict.origin = origin
    verdict.credentials = credentials
    verdict.credentials_evidence = story.evidence
    verdict.page = shown_origin(record.page) if record.page else origin
    verdict.note = ""
    verdict.dest = record.dest
    verdict.accept = record.accept
    verdict.first_url = record.first_url
    verdict.preflight = record.preflight
    verdict.preflight_reason = record.preflight_reason
    verdict.redirected_from = record.redirected_from
    verdict.browser = record.browser.family
    verdict.withheld = withheld
    verdict.story_id = story.id
    verdict.exchange = exchange
    verdict.complete = not record.awaits
    verdict.devtools_error = verdict.failed_parameter = verdict.reason = None
    verdict.story = ()
    verdict.settled = True
    verdict.outcome = outcome = Outcome.ALLOWED
    if faults or (credentials is Credentials.UNKNOWN and record.if_include):
        outcome, fault, found, besides = _trouble(record, faults, credentials, origin)
        verdict.outcome = outcome
        verdict.settled = outcome is not Outcome.CONDITIONAL or bool(record.if_omit) or record.stored_unknown
        if fault is not None:
            verdict.devtools_error = devtools_error(fault, preflight=record.kind is Kind.PREFLIGHT)
            verdict.failed_parameter = fault.parameter if verdict.devtools_error is not None else None
        if record.kind is Kind.PREFLIGHT and outcome is Outcome.BLOCKED:
            # What else is said of a preflight that passes has no place where it does not.
            findings = tuple([one for one in record.findings if one.id in _OF_AGE]) + hints.always
        findings = found + findings + besides
        verdict.reason = findings[0]
        verdict.story = story_before(record)
    if exchange.observed is not None:
        findings += record_findings(exchange, outcome)
    verdict.findings = findings
    return verdict


_OF_AGE = ("max-age-above-cap", "max-age-unparsable")

type _Trouble = tuple[Outcome, Fault | None, tuple[Finding, ...], tuple[Finding, ...]]
"""The outcome, the fault that blocks, and the findings to put before and behind what else is to be said."""


def _trouble(record: Record, faults: Faults, credentials: Credentials, origin: str) -> _Trouble:
    """Say what an exchange that fails, or may fail, comes to; `faults` are to be mended in any case."""
    exchange = record.exchange
    include, omit = record.if_include, record.if_omit
    if record.stored_unknown and faults and faults[0].id in ("allow-origin-missing", "allow-credentials-not-true"):
        return Outcome.CONDITIONAL, None, (finding("stored-response-unknown", origin=origin),), ()
    with_credentials = Answer(record.url, exchange.response_headers, True)
    if not omit and credentials is Credentials.UNKNOWN:
        found = (conditional_finding("credentials-unknown", include[0], with_credentials),)
        return Outcome.CONDITIONAL, None, found, _further(include, (), with_credentials)
    included = credentials is Credentials.INCLUDE
    answer = with_credentials if included else Answer(record.url, exchange.response_headers, False)
    if record.mode is RequestMode.UNKNOWN:
        return Outcome.CONDITIONAL, None, (conditional_finding("mode-unknown", faults[0], answer),), ()
    named = fault_findings(faults, answer, proxy_made=exchange.proxy_made, proxy_error=exchange.proxy_error)
    besides: tuple[Finding, ...] = ()
    if credentials is Credentials.UNKNOWN and include[0].id != faults[0].id:
        besides = (conditional_finding("other-fault-with-credentials", include[0], with_credentials),)
    if credentials is Credentials.UNKNOWN:
        besides += _further(include, faults, with_credentials)
    return Outcome.BLOCKED, faults[0], named, besides


def _further(include: Faults, told: Faults, answer: Answer) -> tuple[Finding, ...]:
    """Say what else is wrong if a request was sent with credentials, besides the first fault and those told already.

    What is to be done about a `*` as Allow-Origin says what is to be done about Allow-Credentials, and who sends no
    Allow-Origin at all knows of neither.
    """
    known = {fault.id for fault in (include[0], *told)}
    if include[0].id in ("allow-origin-wildcard-with-credentials", "allow-origin-missing"):
        known.add("allow-credentials-not-true")
    return tuple(
        [
            conditional_finding("further-fault-with-credentials", fault, answer)
            for fault in include[1:]
            if fault.id not in known
        ]
    )


def story_before(record: Record) -> tuple[Verdict, ...]:
    """Say what is known of the exchanges that led to one, first things first."""
    before = record.before
    return (*story_before(before), verdict_of(before)) if before is not None else ()
