"""The third reading: a measure in words, as a formula and as a decision table, in two languages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from suanwang.core.refusals import Language
from suanwang.policy.language.simplify import simplify
from suanwang.policy.package import Package
from suanwang.policy.parts import ROUNDING, Measure, StepRule
from suanwang.policy.phrases import Speaker, inside_a_sentence
from suanwang.policy.printing_terms import print_terms

_WORDS: dict[Language, dict[str, str]] = {
    "zh": {"must": "须同时满足：", "gives": "金额为", "most": "，且不超过", "end": "。",
           "join": "；", "is": "，即", "nothing": "本条不直接给予资金", "amount": "金额",
           "except": "但{}时为", "list": "和"},
    "en": {"must": "All of these must hold: ", "gives": "The amount is ", "most": ", but at most ",
           "end": ". ", "join": "; ", "is": ", that is ", "nothing": "It gives no money itself",
           "amount": "amount", "or": "otherwise nothing", "except": ", except where {}: ",
           "colon": ": ", "list": " and "},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the decision table: what is asked, what it must be, and where that stands."""

    asked: str
    holds: str
    article: str


@dataclass(frozen=True, slots=True)
class Print:
    """A measure as people read it."""

    title: str
    article: str
    sentence: str
    formula: tuple[str, ...]
    table: tuple[Row, ...]
    outcome: str
    """What the table gives when every row holds."""
    terms: tuple[str, ...]
    """What follows a decision: the pool, the payments, how money comes back."""


def print_measure(package: Package, measure: str, language: Language, on: date) -> Print:
    """One measure with the figures of a day. Refuses ``policy_measure_unknown``."""
    package.in_force(on)
    rule = package.measure(measure, on)
    values = package.values(on)
    names = {step.name: step.label[language] for step in (*rule.steps, *rule.caps)}
    speaker = Speaker(package, values, language, names, str(values.get(ROUNDING, "down")))
    formula = _formula(rule, speaker)
    return Print(
        title=rule.title[language],
        article=package.articles[rule.article][language],
        sentence=_sentence(rule, speaker),
        formula=formula,
        table=tuple(
            Row(
                condition.label[language],
                speaker.say(simplify(condition.node, values)),
                package.articles[condition.article][language],
            )
            for condition in rule.conditions
        ),
        outcome=formula[-1] if formula else _WORDS[language]["nothing"],
        terms=tuple(print_terms(package, rule, language, on)),
    )


def _sentence(rule: Measure, speaker: Speaker) -> str:
    words = _WORDS[speaker.language]
    text = rule.title[speaker.language] + words["end"]
    if rule.conditions:
        said = (speaker.say(simplify(one.node, speaker.values)) for one in rule.conditions)
        text += words["must"] + words["join"].join(said) + words["end"]
    if not rule.steps:
        refers = rule.refers_to.get(speaker.language, "")
        return text + words["nothing"] + (words["join"] + refers if refers else "") + words["end"]
    last = rule.steps[-1]
    called = inside_a_sentence(last.label[speaker.language])
    text += words["gives"] + called + words["is"] + _value(last, speaker)
    brackets = "（{}）" if speaker.language == "zh" else " ({})"
    caps = [
        inside_a_sentence(cap.label[speaker.language]) + brackets.format(_value(cap, speaker))
        for cap in rule.caps
    ]
    if caps:
        text += words["most"] + words["list"].join(caps)
    return (text + words["end"]).strip()


def _value(step: StepRule, speaker: Speaker) -> str:
    said = speaker.say(simplify(step.node, speaker.values))
    for exception in step.exceptions:
        when = speaker.say(simplify(exception.when, speaker.values))
        what = speaker.say(simplify(exception.node, speaker.values))
        said += _WORDS[speaker.language]["except"].format(when) + what
    return said


def _formula(rule: Measure, speaker: Speaker) -> tuple[str, ...]:
    if not rule.steps:
        return ()
    words, language = _WORDS[speaker.language], speaker.language
    lines = []
    for step in (*rule.steps, *rule.caps):
        shown = speaker.formula(simplify(step.node, speaker.values))
        for exception in step.exceptions:
            when = speaker.say(simplify(exception.when, speaker.values))
            what = speaker.formula(simplify(exception.node, speaker.values))
            shown += words["except"].format(when) + what
        lines.append(f"{step.label[language]} = {shown}")
    parts = [rule.steps[-1].label[language], *(cap.label[language] for cap in rule.caps)]
    least = parts[0] if len(parts) == 1 else f"min({', '.join(parts)})"
    return (*lines, f"{words['amount']} = max(0, {least})")
