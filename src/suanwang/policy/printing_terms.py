"""Print what follows a decision: the pool, the way to payment, the split, how money comes back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from fractions import Fraction

from suanwang.core.money import format_yuan
from suanwang.core.refusals import Language
from suanwang.policy.package import Package
from suanwang.policy.parts import Measure
from suanwang.policy.phrases import inside_a_sentence
from suanwang.policy.pools import pool_of
from suanwang.policy.settlement import EVENTS, FUND, MODES, PARTIES

_WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "pool": "资金来自{label}，每年不超过{money}；{dry}；年末未用的{carry}。",
        "first_come": "不足时按材料齐全的时间先后，先到先得",
        "queue": "不足时按材料齐全的时间排队，余下的等下一笔资金",
        "pro_rata": "不足时按申请额同比例分配",
        "True": "结转下年", "False": "不结转",
        "flow": "{payer}付给{payee}{sum}，条件：{after}。",
        "price": "全部价款", "award": "奖励金额", "rest": "价款减去奖励的差额",
        "reserved": "备用金可付的奖励部分", "beyond": "超出备用金的奖励部分",
        "stages": "付款前须经：{}。", "days": "（{}天）", "list": "、", "by": "，由{}负责",
        "deceit": "骗取资金的，全额追回，{}年内不予支持。",
        "reduce_or_recover": "付款后发生退款的，按剩余费用重新计算，追回差额。",
        "ignore": "付款后发生退款的，不作处理。",
        "by_metering": "跨越首日或末日的使用按计量时间拆分，只计有效期内部分。",
        "whole_contract": "跨越首日或末日的使用不予计入。",
    },
    "en": {
        "pool": "The money comes from {label}, at most {money} a year; {dry}; what a year leaves "
        "{carry}.",
        "first_come": "when it runs dry, who had complete papers first is served first",
        "queue": "when it runs dry, claims wait for the next money in the order of complete papers",
        "pro_rata": "when it runs dry, all get the same part of what they asked for",
        "True": "adds to the next", "False": "lapses",
        "flow": "{payer} pays {payee} {sum}, once {after}.",
        "price": "the whole price", "award": "the award", "rest": "the price less the award",
        "reserved": "the award as far as the reserve goes",
        "beyond": "what of the award goes beyond the reserve",
        "stages": "Before payment: {}.", "days": " ({} days)", "list": ", ", "by": " by {}",
        "deceit": "Money obtained by deceit comes back in full, and for {} years nothing is "
        "granted.",
        "reduce_or_recover": "After a refund the award is worked out again and the difference "
        "comes back.",
        "ignore": "A refund after payment changes nothing.",
        "by_metering": "Use over the first or last day is split by metered time; the part inside "
        "counts.",
        "whole_contract": "Use over the first or last day does not count.",
    },
}  # fmt: skip


def print_terms(package: Package, measure: Measure, language: Language, on: date) -> list[str]:
    """What follows a decision of a measure, a sentence for each thing the package states."""
    lines = [*_pool(package, measure, language, on), *_payments(package, measure, language, on)]
    words = _WORDS[language]
    if measure.stands_on and package.straddling:
        lines.append(words[str(package.parameter(package.straddling, on).value)])
    if measure.settlement and package.recovery is not None:
        years = package.parameter(package.recovery.block_years, on).value
        lines.append(words["deceit"].format(years))
        if measure.stands_on:
            lines.append(words[str(package.parameter(package.recovery.refunds, on).value)])
    return lines


def _pool(package: Package, measure: Measure, language: Language, on: date) -> Iterator[str]:
    if not measure.pool:
        return
    words, pool = _WORDS[language], pool_of(package, measure.pool)
    money = Fraction(str(package.parameter(pool.year_fen, on).value))
    yield words["pool"].format(
        label=inside_a_sentence(pool.label[language]),
        money=format_yuan(int(money)),
        dry=words[str(package.parameter(pool.when_dry, on).value)],
        carry=words[str(package.parameter(pool.carry_over, on).value)],
    )


def _payments(package: Package, measure: Measure, language: Language, on: date) -> Iterator[str]:
    words = _WORDS[language]
    for flow in MODES.get(measure.settlement, ()):
        after = (*flow.after, *(("funding_confirmed",) if flow.payer == FUND else ()))
        told = words["flow"].format(
            payer=PARTIES[flow.payer][language],
            payee=PARTIES[flow.payee][language],
            sum=words[flow.sum],
            after=words["list"].join(EVENTS[event][language] for event in after),
        )
        yield told[:1].upper() + told[1:]
    stages = []
    for stage in measure.procedure:
        days = package.parameter(stage.days, on).value if stage.days else None
        stages.append(
            stage.label[language]
            + words["by"].format(package.units[stage.by][language])
            + (words["days"].format(days) if days is not None else "")
        )
    if stages:
        yield words["stages"].format(words["list"].join(stages))
