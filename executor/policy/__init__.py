"""The policy engine: facts in, one decision out, from a child OPA."""

from executor.policy.bundle import Bundle, Verification, load_bundle, sign_bundle, write_bundle
from executor.policy.decision import (
    Decision,
    Grant,
    GrantedEndpoint,
    GrantedScope,
    Obligations,
    Reason,
    Risk,
    RiskFactor,
)
from executor.policy.engine import PolicyEngine
from executor.policy.find import default_policies_dir, find_opa
from executor.policy.request import (
    ActiveLease,
    Budget,
    DecisionRequest,
    Facts,
    Finding,
    History,
    Host,
    LeaseAsk,
    PresentedLease,
    Review,
    Signature,
)
from executor.policy.server import OpaServer

__all__ = [
    "ActiveLease",
    "Budget",
    "Bundle",
    "Decision",
    "DecisionRequest",
    "Facts",
    "Finding",
    "Grant",
    "GrantedEndpoint",
    "GrantedScope",
    "History",
    "Host",
    "LeaseAsk",
    "Obligations",
    "OpaServer",
    "PolicyEngine",
    "PresentedLease",
    "Reason",
    "Review",
    "Risk",
    "RiskFactor",
    "Signature",
    "Verification",
    "default_policies_dir",
    "find_opa",
    "load_bundle",
    "sign_bundle",
    "write_bundle",
]
