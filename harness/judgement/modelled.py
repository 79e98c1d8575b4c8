"""What the simulator has no answer to: recognised in its outcomes, so that such a run is UNMEASURED and never judged.

Only outcomes of the engine `sim` are looked at. Its kernel writes the line into the output of the process that asked;
a guest that prints it itself makes its own run UNMEASURED, which does not pass.
"""

from __future__ import annotations

import re
from typing import Final

from executor.outcome import Outcome

ENGINE: Final = "sim"
CODE: Final = "sim.unmodelled"
_LINE: Final = re.compile(rb"CORDON-UNMODELLED ([^\r\n\"\\]{1,300})")


def unmodelled(outcome: Outcome, *, whole: bool = True) -> str:
    """What in `outcome` is not modelled, in words; empty where everything is.

    `whole` False looks at standard output alone: of a batch's own part, which shares its standard error.
    """
    if outcome.engine != ENGINE:
        return ""
    if outcome.reasons == (CODE,):
        return f"the simulator does not model {outcome.message}"
    for result in outcome.results:
        for text in (result.stdout, result.stderr) if whole else (result.stdout,):
            if found := _LINE.search(text):
                return f"the simulator does not model {found[1].decode('utf-8', 'replace').strip()}"
    return ""
