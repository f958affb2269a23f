"""The Chinese words for what commands print: heads of tables, names of amounts and facts.

The names themselves are English; sentences come from the refusals catalogue and the API.
"""

from __future__ import annotations

from suanwang.core.refusals import Language

_ZH = {
    "agent": "代理",
    "answer": "输出文件",
    "approved": "核准",
    "at most": "最高费用",
    "available": "可用",
    "card_seconds": "卡秒费",
    "centre": "数据中心",
    "city": "市级负担",
    "claim": "兑付申请",
    "claimed 50%": "申请 50%",
    "cluster": "集群",
    "code": "信用代码",
    "company": "企业",
    "core-second": "每核秒",
    "core_seconds": "核秒费",
    "cores": "核数",
    "county": "区级负担",
    "credit limit": "授信额度",
    "exit code": "退出码",
    "expired": "已失效",
    "face value": "面值",
    "fits": "装得下",
    "granted": "发放",
    "hold": "冻结",
    "id": "编号",
    "invoice": "账单",
    "isolation": "隔离级别",
    "job": "作业",
    "memory": "内存",
    "memory_mib_seconds": "内存费",
    "name": "名称",
    "no": "否",
    "node": "节点",
    "online": "在线",
    "order": "拨付指令",
    "paid": "已付款",
    "paid back": "预计可兑付",
    "paid fee": "已付费用",
    "pool left": "资金池余额",
    "price until": "价格有效至",
    "redeemed": "已兑付",
    "reference": "付款流水",
    "reserved": "已占用",
    "state": "状态",
    "submitted": "提交时间",
    "total": "合计",
    "voucher": "算力券",
    "yes": "是",
}


def shown(name: str, language: Language) -> str:
    """The name of an amount or a fact in the reader's language."""
    return _ZH.get(name, name) if language == "zh" else name
