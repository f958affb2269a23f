"""Expressions in Chinese and in English: as words of a sentence, and as a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language
from suanwang.policy.language import INTEGERS, Compiler, nodes
from suanwang.policy.language.compile import Value
from suanwang.policy.language.nodes import Node
from suanwang.policy.language.types import Type, show_unit
from suanwang.policy.package import Package
from suanwang.policy.why import exact_text

_SIGNS: dict[Language, dict[str, str]] = {
    "zh": {"<": "低于", "<=": "不超过", ">": "大于", ">=": "不低于", "==": "为", "!=": "不为"},
    "en": {"<": "is below", "<=": "is at most", ">": "is more than", ">=": "is at least",
           "==": "is", "!=": "is not"},
}  # fmt: skip
_DATES: dict[Language, dict[str, str]] = {
    "zh": {"<": "早于", "<=": "不晚于", ">": "晚于", ">=": "不早于", "==": "为", "!=": "不为"},
    "en": {"<": "is before", "<=": "is not after", ">": "is after", ">=": "is not before",
           "==": "is", "!=": "is not"},
}  # fmt: skip
_WORDS: dict[Language, dict[str, str]] = {
    "zh": {"and": "，且", "or": "，或", "not": "并非“{}”", "in": "{}是{}之一",
           "is": "{}是{}", "list": "、", "if": "若{}则{}，否则{}",
           "min": "{}中的较小者", "max": "{}中的较大者",
           "year": "{}所在年", "year_end": "{}当年最后一日", "graded": "按{}分档的{}",
           "down": "（不足一分舍去）", "half_up": "（四舍五入到分）", "up": "（进位到分）",
           "then": "，否则"},
    "en": {"and": " and ", "or": " or ", "not": "not “{}”", "in": "{} is one of: {}",
           "is": "{} is {}", "list": ", ", "if": "{1} if {0}, otherwise {2}",
           "min": "the smaller of {}", "max": "the larger of {}",
           "year": "the year of {}", "year_end": "the last day of the year of {}",
           "graded": "the {1} by {0}", "down": " (parts of a fen dropped)",
           "half_up": " (rounded half up to the fen)", "up": " (rounded up to the fen)",
           "then": ", otherwise "},
}  # fmt: skip
_UNITS: dict[str, tuple[str, str]] = {
    "day": ("天", " days"), "rack": ("架", " racks"), "pflops": ("P", " PFLOPS"),
    "month": ("个月", " months"), "year": ("年", " years"), "point": ("分", " points"),
    "unit": ("个", ""), "token": ("词元", " tokens"), "kwh": ("千瓦时", " kWh"),
    "fen/rack": ("/架", " per rack"), "fen/unit": ("/个", " each"),
}  # fmt: skip
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_FORMULA = {"*": "×", "/": "÷", "+": "+", "-": "−"}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says the expressions of a package, with the figures of a day, in one language."""

    package: Package
    values: Mapping[str, Value]
    language: Language
    steps: Mapping[str, str]
    """What the steps of the measure are called."""
    rounding: str = "down"

    def say(self, node: Node) -> str:
        """An expression in words."""
        words = _WORDS[self.language]
        match node:
            case nodes.Constant(value=value):
                return self.value(value, node.type)
            case nodes.ParameterName(name=name):
                return self.value(self.values[name], node.type, name)
            case nodes.FactName(name=name):
                label = self.steps.get(name) or self.package.facts[name].label[self.language]
                return inside_a_sentence(label)
            case nodes.Comparison():
                return self._comparison(node)
            case nodes.Logic(word=word, terms=terms):
                return words[word].join(self.say(term) for term in terms)
            case nodes.Not(term=term):
                return words["not"].format(self.say(term))
            case nodes.Member(item=item, items=items):
                members = self.values[items.name] if isinstance(items, nodes.ParameterName) else ()
                few = isinstance(members, frozenset) and len(members) == 1
                said = words["is" if few else "in"]
                return said.format(self.say(item), self._members(item, items))
            case nodes.Choose(test=test, yes=yes, no=no):
                return words["if"].format(self.say(test), self.say(yes), self.say(no))
            case nodes.Arithmetic() if node.type.kind == "date" and not _speaks_of_facts(node):
                day = Compiler(self.values, INTEGERS).compile(node).run({})
                return date.fromordinal(day).isoformat()
            case nodes.Arithmetic():
                return self.formula(node)
            case nodes.Call(function="rounded", arguments=(inner,)):
                return self.say(inner) + words[self.rounding]
            case nodes.Call(function="graded", arguments=(value, table)):
                assert isinstance(table, nodes.ParameterName)  # noqa: S101 - the parser saw to it
                label = self.package.parameters[table.name].label[self.language]
                return words["graded"].format(self.say(value), inside_a_sentence(label))
            case nodes.Call(function=function, arguments=arguments):
                listed = words["list"].join(self.say(argument) for argument in arguments)
                return words[function].format(listed)
        raise TypeError(node)

    def formula(self, node: Node, inside: bool = False) -> str:
        """An expression as a formula, with the words of its parts."""
        match node:
            case nodes.Arithmetic(sign=sign, left=left, right=right):
                factor = sign in ("*", "/")
                a = self.formula(left, factor)
                b = self.formula(right, factor or sign == "-")
                text = f"{a} {_FORMULA[sign]} {b}"
                return f"({text})" if inside and not factor else text
            case nodes.Call(function="rounded", arguments=(inner,)):
                shown = self.formula(inner)
                return {"down": f"⌊{shown}⌋", "up": f"⌈{shown}⌉"}.get(self.rounding, f"[{shown}]")
            case nodes.Call(function=("min" | "max") as function, arguments=arguments):
                return f"{function}({', '.join(self.formula(one) for one in arguments)})"
            case nodes.Choose(test=test, yes=yes, no=no):
                rest = _WORDS[self.language]["then"]
                given = self._spaced("", {"zh": "若", "en": "if"}[self.language], self.say(test))
                return f"{self.formula(yes)} {given}{rest}{self.formula(no)}"
        return self.say(node)

    def value(self, value: object, type_: Type, name: str = "") -> str:
        """A figure with its unit; money in yuan, ratios up to 1 as percent."""
        if isinstance(value, bool):
            pair = {"zh": ("是", "否"), "en": ("yes", "no")}[self.language]
            return pair[0] if value else pair[1]
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, Fraction):
            return figure(value, show_unit(type_.unit), self.language)
        if isinstance(value, frozenset):
            return _WORDS[self.language]["list"].join(sorted(value))
        series = self.package.parameters.get(name)
        if series is not None and str(value) in series.readings:
            return series.readings[str(value)][self.language]
        return str(value)

    def _comparison(self, node: nodes.Comparison) -> str:
        """A comparison with the fact as its subject, even where the rule names the figure first."""
        left, sign, right = node.left, node.sign, node.right
        if not _speaks_of_facts(left):
            left, right = right, left
            sign = _TURNED[sign]  # type: ignore[assignment]
        said = (_DATES if left.type.kind == "date" else _SIGNS)[self.language][sign]
        return self._spaced(self.say(left), said, self._right(left, right))

    def _right(self, left: Node, right: Node) -> str:
        """The right side of a comparison; a code in the words of the fact it is compared with."""
        code: object = None
        if isinstance(right, nodes.Constant):
            code = right.value
        elif isinstance(right, nodes.ParameterName):
            code = self.values[right.name]
        if isinstance(left, nodes.FactName) and left.type.kind == "choice":
            label = self.package.facts[left.name].labels[str(code)][self.language]
            return inside_a_sentence(label)
        return self.say(right)

    def _members(self, item: Node, items: Node) -> str:
        assert isinstance(items, nodes.ParameterName)  # noqa: S101 - the parser saw to it
        members = self.values[items.name]
        if isinstance(item, nodes.FactName) and item.type.kind == "choice":
            labels = self.package.facts[item.name].labels
            if isinstance(members, frozenset):
                shown = (labels[code][self.language] for code in labels if code in members)
                return _WORDS[self.language]["list"].join(map(inside_a_sentence, shown))
        return inside_a_sentence(self.package.parameters[items.name].label[self.language])

    def _spaced(self, *parts: str) -> str:
        return ("" if self.language == "zh" else " ").join(part for part in parts if part)


def figure(value: Fraction, unit: str, language: Language) -> str:
    """A number with its unit; money in yuan, ratios up to 1 as percent."""
    if unit == "fen" and value.denominator == 1:
        return "0" if value == 0 else format_yuan(int(value))
    tail = _UNITS.get(unit, ("", ""))[0 if language == "zh" else 1]
    if unit.startswith("fen/") and value.denominator == 1:
        return format_yuan(int(value)) + tail
    if unit == "ratio" and 0 < value <= 1:
        return f"{exact_text(value * 100) if (value * 100).denominator > 1 else value * 100}%"
    return (f"{int(value):,}" if value.denominator == 1 else exact_text(value)) + tail


def inside_a_sentence(label: str) -> str:
    """A label without its capital, unless the capital belongs to the word: AI, PUE."""
    return label[:1].lower() + label[1:] if label[1:2].islower() or label[1:2] == " " else label


def _speaks_of_facts(node: Node) -> bool:
    return any(isinstance(part, nodes.FactName) for part in node.walk())
