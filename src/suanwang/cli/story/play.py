"""The main job, step by step. Whoever speaks here speaks to the public API and to nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from suanwang.agent.engine_file import read_choice
from suanwang.cli.story.stage import Stage, Step, must, running_agent
from suanwang.core import uscc
from suanwang.core.clock import CITY_ZONE
from suanwang.core.refusals import Language
from suanwang.sdk.city import submission
from suanwang.sdk.connection import Connection
from suanwang.sdk.errors import RefusedByCity

ARTICLE_5 = {"zh": "保定 2024 第 5 条", "en": "Baoding 2024, article 5"}
FUNDING = {"zh": "保定 2024 资金条款", "en": "Baoding 2024, funding clause"}
CREDIT_FEN = 1_000_000
VOUCHER_FEN = 5_000_000
CORE_SECOND_FEN = 3
"""A price that makes a job of some seconds worth a voucher."""

SCRIPT = """#!/bin/bash
#SBATCH --job-name=story
#SBATCH --cpus-per-task=1
#SBATCH --mem=128M
#SBATCH --time=00:02:00
echo "hello from $(nproc --all) cores"
sha256sum < input.txt | tee answer.txt
for n in 1 2 3; do echo "step $n"; sleep 1; done
"""
INPUT = b"what goes in comes out counted\n"


def play(
    url: str, *, patience_seconds: float, language: Language, engine_file: Path | None = None
) -> Iterator[Step]:
    """Play all steps; raises at the first that does not hold."""
    stage = Stage(url, patience_seconds=patience_seconds, language=language)
    try:
        yield from _Story(stage, engine_file).steps()
    finally:
        stage.close()


class _Story:
    def __init__(self, stage: Stage, engine_file: Path | None) -> None:
        self._stage = stage
        self._engine_file = engine_file
        self._engine = "local" if engine_file is None else read_choice(engine_file).kind
        self._tag = secrets.token_hex(3)
        self._password = secrets.token_urlsafe(18)

    def steps(self) -> Iterator[Step]:
        stage = self._stage
        self._operator = stage.sign_in("operator")
        provider = self._register("provider", f"故事供给方 {self._tag}")
        cluster, step = self._centre(provider)
        yield step
        made = provider.post(f"/clusters/{cluster}/agents")
        with running_agent(stage.url, made["token"], self._engine_file):
            yield self._agent(cluster)
            company = self._register("enterprise", f"故事企业 {self._tag}")
            yield self._credit(company)
            spec, step = self._estimate(company)
            yield step
            job, step = self._submit(company, spec)
            yield step
            yield self._result(company, job)
            invoice, step = self._invoice(company)
            yield step
            yield self._pay(company, invoice)
        voucher, step = self._grant(company)
        yield step
        claim, step = self._claim(company, voucher, invoice)
        yield step
        yield self._review(claim)
        order, step = self._order(claim)
        yield step
        yield self._receipts(company, order, voucher)
        provider.post(f"/centres/{self._centre_code}/closure")

    def _now(self) -> datetime:
        """What time it is in the city."""
        return datetime.now(UTC) + self._ahead

    def _register(self, kind: str, name: str) -> Connection:
        """An organisation registers itself and is approved; its first person signs in."""
        username = f"{kind}-{self._tag}"
        registered = self._stage.stranger().post(
            "/organisations",
            {
                "name": name,
                "kind": kind,
                "uscc": _fictional_code(),
                "division": "130602",
                "first_person": {"username": username, "password": self._password},
            },
        )
        organisation = registered["organisation"]
        # A demo city that opened after its policy lives by a clock of its own.
        self._ahead = datetime.fromisoformat(organisation["created_at"]) - datetime.now(UTC)
        self._operator.post(f"/organisations/{organisation['id']}/approval")
        if kind == "provider":
            self._provider_id = organisation["id"]
        else:
            self._company_id, self._company_name = organisation["id"], name
            self._company_code = organisation["uscc"]
        return self._stage.sign_in(username, self._password)

    def _centre(self, provider: Connection) -> tuple[str, Step]:
        self._centre_code = code = f"story-{self._tag}"
        provider.post(
            "/centres",
            {
                "code": code,
                "name": f"故事边缘中心 {self._tag}",
                "tier": "edge",
                "kind": "general",
                "division": "130602",
                "racks": 4,
                "racks_used": 1,
            },
        )
        platforms = {"is_local_platform": True, "is_public_platform": False}
        self._operator.post(f"/centres/{code}/verification", platforms)
        body = {"name": "main", "engine": self._engine}
        cluster = provider.post(f"/centres/{code}/clusters", body)["id"]
        end = self._now().replace(minute=0, second=0, microsecond=0)
        energy = {
            "start": (end - timedelta(days=1)).isoformat(),
            "end": end.isoformat(),
            "it_wh": 100_000,
            "facility_wh": 131_000,
            "green_wh": 40_000,
        }
        provider.post(f"/centres/{code}/energy", energy)
        self._priced_from = self._now() + timedelta(seconds=5)
        prices = (("core_seconds", CORE_SECOND_FEN, 1), ("memory_mib_seconds", 2, 3_686_400))
        for meter, price_fen, per_quantity in prices:
            price = {
                "meter": meter,
                "price_fen": price_fen,
                "per_quantity": per_quantity,
                "starts": self._priced_from.isoformat(),
            }
            provider.post(f"/centres/{code}/prices", price)
        title = {
            "zh": "供给方登记数据中心、能耗和价格，运营方核定为本地平台",
            "en": "A provider registers a centre, its energy and its prices; it counts as local",
        }
        facts = {"centre": code, "PUE": "1.31", "cluster": cluster, "engine": self._engine}
        return cluster, Step(1, title, None, {"core-second": CORE_SECOND_FEN}, facts)

    def _agent(self, cluster: str) -> Step:
        def nodes() -> list[dict[str, Any]] | None:
            return self._operator.get(f"/clusters/{cluster}/nodes")["items"] or None

        [node, *_] = self._stage.until(nodes, "the agent did not report this machine")
        title = {
            "zh": "中心的代理凭一次性令牌接入，上报真实的核数和内存",
            "en": "The centre's agent enrols with a one-time token and reports what is there",
        }
        facts = {"cores": str(node["cores"]), "memory": f"{node['memory_mib']} MiB"}
        return Step(2, title, None, {}, facts)

    def _credit(self, company: Connection) -> Step:
        body = {"limit_fen": CREDIT_FEN}
        self._operator.put(f"/organisations/{self._company_id}/credit-limit", body)
        must(company.get("/me")["organisation_active"], "the company is not active")
        title = {
            "zh": "企业凭统一社会信用代码注册，经核准获得授信额度",
            "en": "A company registers with its credit code, is approved and gets a credit limit",
        }
        facts = {"company": self._company_name, "code": self._company_code}
        return Step(3, title, None, {"credit limit": CREDIT_FEN}, facts)

    def _estimate(self, company: Connection) -> tuple[dict[str, Any], Step]:
        spec = company.post("/jobs/read-script", {"script": SCRIPT})["spec"]
        spec |= {"centre": self._centre_code, "files_out": ["answer.txt"]}

        def option() -> dict[str, Any] | None:
            options = company.post("/jobs/estimate", spec)["options"]
            found = [each for each in options if each["centre"] == self._centre_code]
            return next((each for each in found if each["acceptable"] and each["online"]), None)

        self._stage.until(lambda: self._now() > self._priced_from or None, "the price")
        chosen = self._stage.until(option, "the centre offers no price for the job")
        back = chosen["reimbursement"]
        title = {
            "zh": "提交之前：价格、最高费用和预计可兑付金额",
            "en": "Before committing: the price, the most it can cost, what would come back",
        }
        amounts = {"at most": chosen["amount_fen"], "paid back": back["amount_fen"]}
        half = chosen["amount_fen"] // 2
        must(back["amount_fen"] == half, "the expected reimbursement is not half of the fee")
        return spec, Step(4, title, ARTICLE_5, amounts)

    def _submit(self, company: Connection, spec: dict[str, Any]) -> tuple[str, Step]:
        job = company.post("/jobs", submission({"input.txt": INPUT}, **spec))
        title = {
            "zh": "提交作业（读懂 #SBATCH 行），账本冻结最高费用",
            "en": "The job is submitted (its #SBATCH lines understood); a hold is taken",
        }
        facts = {"job": job["id"], "state": job["state"]}
        return job["id"], Step(5, title, None, {"hold": job["estimate_fen"]}, facts)

    def _result(self, company: Connection, job_id: str) -> Step:
        def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = company.get(f"/jobs/{job_id}")
            return job if job["ended_at"] else None

        job = self._stage.until(ended, "the job did not end")
        must(job["state"] == "succeeded", f"the job {job['state']}: {job['reason']['message']}")
        output, _ = company.get_bytes(f"/jobs/{job_id}/logs/stdout")
        answer, _ = company.get_bytes(f"/jobs/{job_id}/files/answer.txt")
        must(b"step 3" in output, "the output is not whole")
        must(answer.split()[0].decode() in output.decode(), "the file differs from the output")
        title = {
            "zh": "调度、拉取并在本机隔离运行，输出和文件传回",
            "en": "Placed, pulled and really run in isolation; output and files come back",
        }
        attempt = job["attempts"][-1]
        facts = {
            "node": attempt["node"],
            "isolation": attempt["isolation"],
            "exit code": str(job["exit_code"]),
        }
        return Step(6, title, None, {}, facts)

    def _invoice(self, company: Connection) -> tuple[dict[str, Any], Step]:
        def issued() -> dict[str, Any] | None:
            try:
                bill: dict[str, Any] = company.post("/invoices", {"provider_id": self._provider_id})
            except RefusedByCity as refusal:
                if refusal.code != "nothing_to_invoice":
                    raise
                return None  # the worker has not settled the job yet
            return bill

        invoice = self._stage.until(issued, "the usage was not rated and settled")
        lines = list(company.every(f"/invoices/{invoice['id']}/lines"))
        must(sum(line["amount_fen"] for line in lines) == invoice["total_fen"], "lines differ")
        title = {
            "zh": "签名用量按当时价格计费，逐行生成账单",
            "en": "Signed usage is rated by the price of that moment and invoiced line by line",
        }
        amounts = {line["meter"]: line["amount_fen"] for line in lines}
        amounts["total"] = invoice["total_fen"]
        return invoice, Step(7, title, None, amounts, {"invoice": invoice["number"]})

    def _pay(self, company: Connection, invoice: dict[str, Any]) -> Step:
        started = company.post(f"/invoices/{invoice['id']}/channel-payments", {})

        def paid() -> dict[str, Any] | None:
            bill: dict[str, Any] = company.get(f"/invoices/{invoice['id']}")
            return bill if bill["status"] == "paid" else None

        self._stage.until(paid, "the payment was not confirmed")
        title = {
            "zh": "企业先行支付全额费用",
            "en": "The company pays in full before it claims anything",
        }
        facts = {"reference": started["reference"]}
        return Step(8, title, ARTICLE_5, {"paid": invoice["total_fen"]}, facts)

    def _grant(self, company: Connection) -> tuple[str, Step]:
        year = self._now().astimezone(CITY_ZONE).year
        pool = self._stage.sign_in("finance").post("/vouchers/pool", {"year": year})
        asked = {"asked_fen": VOUCHER_FEN, "purpose": "故事：使用本地算力服务平台"}
        application = company.post("/programmes/applications", asked)
        reviewer = self._stage.sign_in("reviewer")
        path = f"/programmes/applications/{application['id']}/grant"
        granted = reviewer.post(path, {"amount_fen": VOUCHER_FEN})
        voucher = granted["voucher_id"]
        certificate = company.get(f"/vouchers/{voucher}/certificate")
        shown = {"content": certificate["content"], "signature": certificate["signature"]}
        verified = self._stage.stranger().post("/vouchers/verification", shown)
        must(verified["genuine"], "the certificate is not genuine")
        title = {
            "zh": "工作人员甲依申请发放算力券，电子凭证签名可验",
            "en": "The first official grants a voucher; anyone can verify its certificate",
        }
        amounts = {"face value": VOUCHER_FEN, "pool left": pool["left"] - VOUCHER_FEN}
        return voucher, Step(9, title, ARTICLE_5, amounts, {"voucher": voucher})

    def _claim(
        self, company: Connection, voucher: str, invoice: dict[str, Any]
    ) -> tuple[dict[str, Any], Step]:
        draft = company.get(f"/vouchers/{voucher}/claim-draft")
        body = {"lines": [line["id"] for line in draft["lines"]]}
        claim = company.post(f"/vouchers/{voucher}/claims", body)
        must(claim["amount_fen"] == invoice["total_fen"] // 2, "the claim is not half of the fee")
        title = {
            "zh": "对已付款的账单行申请兑付，金额与理由由政策给出",
            "en": "Paid lines are claimed; the policy gives the amount and the reason",
        }
        amounts = {"paid fee": claim["paid_fee_fen"], "claimed 50%": claim["amount_fen"]}
        return claim, Step(10, title, ARTICLE_5, amounts, {"claim": claim["number"]})

    def _review(self, claim: dict[str, Any]) -> Step:
        approver = self._stage.sign_in("approver")
        done = approver.post(f"/vouchers/claims/{claim['id']}/review", {"approve": True})
        must(done["state"] == "approved", f"the claim is {done['state']}")
        title = {
            "zh": "工作人员乙审核通过",
            "en": "A second official reviews and approves",
        }
        return Step(11, title, ARTICLE_5, {"approved": done["amount_fen"]})

    def _order(self, claim: dict[str, Any]) -> tuple[dict[str, Any], Step]:
        finance = self._stage.sign_in("finance")
        order = finance.post("/programmes/payment-orders", {"claim_id": claim["id"]})
        shares = {share["level"]: share["amount_fen"] for share in order["shares"]}
        must(sum(shares.values()) == claim["amount_fen"], "the shares do not add up")
        title = {
            "zh": "财政人员丙下达拨付指令，市、区各半，奇数分归市级",
            "en": "A third official orders the payment, half city, half district",
        }
        return order, Step(12, title, FUNDING, shares, {"order": order["number"]})

    def _receipts(self, company: Connection, order: dict[str, Any], voucher: str) -> Step:
        by_level = {"city": "finance", "county": "jingxiu"}
        for share in order["shares"]:
            treasury = self._stage.sign_in(by_level[share["level"]])
            receipt = {"receipt": f"{order['number']}-{share['level']}"}
            treasury.post(f"/programmes/shares/{share['id']}/receipt", receipt)
        closed = company.get(f"/programmes/payment-orders/{order['id']}")
        must(closed["state"] == "paid", f"the order is {closed['state']}")
        numbers = company.get(f"/vouchers/{voucher}")["numbers"]
        must(numbers["redeemed"] == order["amount_fen"], "the voucher does not show it")
        title = {
            "zh": "市、区国库回执办结，券面四个数对得上",
            "en": "Both treasuries' receipts close it; the voucher's four numbers agree",
        }
        return Step(13, title, FUNDING, numbers)


def _fictional_code() -> str:
    """A valid credit code of a division that does not exist."""
    subject = "".join(secrets.choice(uscc.ALPHABET) for _ in range(9))
    body = f"91139900{subject}"
    return body + uscc.check_character(body)
