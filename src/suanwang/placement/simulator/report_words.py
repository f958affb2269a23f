"""The words and the look of the simulator's report."""
# ruff: noqa: E501

from __future__ import annotations

from suanwang.core.refusals import Language

WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "title": "调度仿真报告",
        "facts": "自 {starts} 起 · {nodes} 个节点，{cores} 核，{cards} 张卡 · {jobs} 个作业 · 随机种子 {seed}",
        "summary": "各策略结果",
        "columns": "策略|平均等待|等待 P95|等待 P99|平均减速比|卡利用率|核利用率|公平性（Jain）|费用|耗电 kWh|绿电占比|完成",
        "queue": "排队作业数",
        "cards_used": "加速卡分配率",
        "cores_used": "核分配率",
        "wait_cdf": "等待不超过该时长的作业占比",
        "by_centre": "各中心分配率",
        "fairness": "各单位得到的服务（1 为从不等待）",
        "hours": "开始后的小时数",
        "wait_hours": "等待时长（小时，对数坐标）",
        "of_cards": "卡",
        "of_cores": "核",
        "nobody": "未指明单位",
        "tenants": "各单位",
        "tenant_columns": "单位|策略|作业数|平均等待|平均减速比|服务|费用",
        "left_out": "未采用的输入",
        "nothing_left_out": "输入全部采用。",
        "how": "口径",
        "definitions": "等待：自提交至首次开始；有界减速比：在系统内的时间 ÷ 运行时间（不足 10 秒按 10 秒）。\n服务：作业运行的时间 ÷（运行 + 等待），按占全池主导资源的份额加权；公平性为各单位服务的 Jain 指数。\n费用：按开始时的价格与实际时长精确计算，每个作业四舍五入到分；因节点故障中断的部分不计费。\n耗电：按数据手册功率的线性模型（空载为满载三成，型号另有说明的除外），乘以 PUE；绿电时段全计为绿电，其余按该中心绿电占比。\n仿真全程由审计器核对：节点与卡不超额，多节点作业要么全有要么全无，作业不丢失、不重复运行。",
    },
    "en": {
        "title": "Scheduling simulation",
        "facts": "from {starts} · {nodes} nodes, {cores} cores, {cards} cards · {jobs} jobs · seed {seed}",
        "summary": "Policies side by side",
        "columns": "policy|mean wait|wait p95|wait p99|mean slowdown|cards used|cores used|fairness (Jain)|cost|kWh|green|done",
        "queue": "Jobs waiting",
        "cards_used": "Cards allocated",
        "cores_used": "Cores allocated",
        "wait_cdf": "Jobs that waited no longer than",
        "by_centre": "Allocation by centre",
        "fairness": "Service each organisation got (1: never waited)",
        "hours": "hours from the start",
        "wait_hours": "hours waited (logarithmic)",
        "of_cards": "cards",
        "of_cores": "cores",
        "nobody": "nobody named",
        "tenants": "Organisations",
        "tenant_columns": "organisation|policy|jobs|mean wait|mean slowdown|service|cost",
        "left_out": "Left out of the input",
        "nothing_left_out": "All of the input was used.",
        "how": "How it is counted",
        "definitions": "Wait: from submission to the first start. Bounded slowdown: time in the system over run time (at least 10 s).\nService: time run over time run and waited, jobs weighted by their dominant share of the pool; fairness is Jain's index over the organisations.\nCost: exact, at the prices of each start for the time run, rounded half up to a fen once a job; what a broken node cut short is not charged.\nEnergy: linear in what is held, from data-sheet watts and an idle floor of three tenths where none is known, times PUE; green hours count as green, others by the centre's green share.\nAn auditor watched throughout: no node or card over capacity, gangs all or nothing, no job lost or run twice.",
    },
}  # fmt: skip

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--muted:#57606a;--line:#d8dee4;--ground:#f6f8fa;--paper:#fff;
--c0:#0b57a4;--c1:#8a5a00;--c2:#1a7f37;--c3:#7b3fa0;--c4:#0f7285;--c5:#57606a;--c6:#a0456e;--c7:#4d6b1f}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--muted:#9aa4af;--line:#30363d;--ground:#0d1117;--paper:#161b22;
--c0:#6cb0f5;--c1:#d9a548;--c2:#5ec977;--c3:#c58ee8;--c4:#58c3d6;--c5:#b1bac4;--c6:#ec93b8;--c7:#a9c973}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:14px/22px system-ui,"PingFang SC","Noto Sans CJK SC","Microsoft YaHei",sans-serif}
main{max-width:1280px;margin:0 auto;padding:24px 16px 40px}
h1{font-size:24px;line-height:32px;margin:0 0 4px}h2{font-size:16px;margin:24px 0 8px}
p{margin:0 0 8px}.muted{color:var(--muted)}ul{margin:0;padding-inline-start:20px}
.scroll{overflow-x:auto;background:var(--paper);border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px;text-align:end;white-space:nowrap;border-bottom:1px solid var(--line)}
tr:last-child>*{border-bottom:0}thead th{color:var(--muted);font-weight:500}
th:first-child,td.text,th.text{text-align:start}tbody th{font-weight:600}
.mark{display:inline-block;width:10px;height:10px;border-radius:2px;margin-inline-end:8px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;padding:0;margin:24px 0 8px}
.legend svg{width:24px;height:8px;margin-inline-end:6px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:0 16px;align-items:start}
figure{margin:0 0 16px;padding:12px 16px;background:var(--paper);border:1px solid var(--line);border-radius:6px;break-inside:avoid}
figcaption{font-weight:600;margin-bottom:8px}figure svg{width:100%;height:auto;display:block}
.grid{stroke:var(--line)}.tick{fill:var(--muted);font-size:11px;font-variant-numeric:tabular-nums}
.label{fill:var(--ink);font-size:12px}.end{text-anchor:end}.middle{text-anchor:middle}.start{text-anchor:start}
.line{fill:none;stroke-width:1.75;stroke-linejoin:round}
.line.s0{stroke:var(--c0);stroke-width:2.25}.line.s1{stroke:var(--c1);stroke-dasharray:6 3}.line.s2{stroke:var(--c2);stroke-dasharray:2 2}
.line.s3{stroke:var(--c3);stroke-dasharray:8 3 2 3}.line.s4{stroke:var(--c4);stroke-dasharray:10 4}.line.s5{stroke:var(--c5);stroke-dasharray:1 3}
.line.s6{stroke:var(--c6);stroke-dasharray:4 2}.line.s7{stroke:var(--c7);stroke-dasharray:12 3 3 3}
.bar.s0{fill:var(--c0)}.bar.s1{fill:var(--c1)}.bar.s2{fill:var(--c2)}.bar.s3{fill:var(--c3)}.bar.s4{fill:var(--c4)}.bar.s5{fill:var(--c5)}.bar.s6{fill:var(--c6)}.bar.s7{fill:var(--c7)}
.mark.s0{background:var(--c0)}.mark.s1{background:var(--c1)}.mark.s2{background:var(--c2)}.mark.s3{background:var(--c3)}.mark.s4{background:var(--c4)}.mark.s5{background:var(--c5)}.mark.s6{background:var(--c6)}.mark.s7{background:var(--c7)}
@media print{@page{margin:12mm}body{background:#fff;font-size:10pt}main{padding:0;max-width:none}.scroll{overflow:visible}th,td{padding:3px 6px;font-size:8.5pt}section{break-inside:avoid}*{print-color-adjust:exact}}
"""
