"""A study as pytest sees it: one item, on whatever engine, since it needs no machine."""

from __future__ import annotations

import json
import time
from typing import Any

import allure
from allure_commons.types import AttachmentType

from harness.collection.drill_item import RECORD, DrillItem
from harness.collection.drill_session import DrillSession
from harness.judgement.judge import Judgement
from harness.report import allure_record, records
from harness.simulate.study import Study, judge


class StudyItem(DrillItem):
    """One study."""

    def __init__(self, *, drill: Study, **arguments: Any) -> None:
        super().__init__(drill=drill, **arguments)
        self.study = drill

    def setup(self) -> None:
        """Nothing to have ready: no executor is started for a simulation."""

    def tried(self, session: DrillSession, started: float) -> tuple[Judgement, str]:  # noqa: ARG002 - it has no machine
        """Run the load and its controls, and judge them."""
        judgement, runs = judge(self.study)
        self.stash[RECORD] = records.about(
            self.study, judgement, [], listed="", seconds=time.monotonic() - started, facts={}, writes=0
        )
        message = "\n".join(
            [f"{judgement.ruling}: {self.study.id} ({self.study.title})", f"  {self.study.place}"]
            + [f"  {finding}" for finding in judgement.findings]
        )
        for what, found in runs if allure_record.wanted() else ():
            with allure.step(what):
                allure.attach(json.dumps(found, indent=2, sort_keys=True), "figures", AttachmentType.JSON)
        allure_record.judged(judgement, "" if judgement.good else message)
        return judgement, message
