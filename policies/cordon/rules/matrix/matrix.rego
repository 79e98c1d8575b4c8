# METADATA
# title: Capability matrix
# description: Who may have which capability, by actor, persona and phase. The matrix is data; a cell not in it is a no.
package cordon.rules.matrix

import data.cordon.reason
import data.cordon.rules.matrix.capabilities

# METADATA
# description: The matrix's line for this requester; undefined when there is none.
row := data.cordon.rules.matrix.rows[input.intent.requester][persona][input.intent.phase]

# METADATA
# description: The persona as the matrix spells it; `none` when none is claimed.
persona := "none" if {
	input.intent.persona == ""
} else := input.intent.persona

row_name := sprintf("matrix %s/%s/%s", [input.intent.requester, persona, input.intent.phase])

# METADATA
# title: The matrix has no line for this actor, persona and phase
# custom:
#   short_name: no_row
#   remedy: Ask as an actor and persona the matrix knows in this phase, or have a line added to matrix/data.yaml.
deny contains reason.from(rego.metadata.chain(), [row_name]) if not row

# METADATA
# title: Nobody knows this capability
# custom:
#   short_name: unknown_capability
#   remedy: Use a capability token of matrix/data.yaml (docs/policies.md lists them).
deny contains reason.from(rego.metadata.chain(), [token]) if {
	some token in input.intent.capabilities
	not capabilities[token]
}

# METADATA
# title: This capability is refused to everyone
# custom:
#   short_name: always_refused
#   remedy: Do without it; the matrix says why it is refused.
deny contains reason.from(rego.metadata.chain(), [token, why]) if {
	some token in input.intent.capabilities
	why := capabilities[token].refused
	why != ""
}

# METADATA
# title: The matrix does not grant this capability
# custom:
#   short_name: not_granted
#   remedy: Leave it out, ask with a persona or in a phase that has it, or have the cell added to matrix/data.yaml.
deny contains reason.from(rego.metadata.chain(), [token, row_name]) if {
	row
	some token in input.intent.capabilities
	not token in row.capabilities
	capabilities[token].refused == ""
}

# METADATA
# title: No capability is asked for
# custom:
#   short_name: nothing_asked
#   remedy: Ask for at least base:execute.
deny contains reason.from(rego.metadata.chain(), []) if not something_asked

something_asked if count(input.intent.capabilities) > 0

# METADATA
# description: Every capability asked for has a grant.
all_granted if {
	something_asked
	every token in input.intent.capabilities {
		token in granted
	}
}

granted contains token if {
	some token in input.intent.capabilities
	token in row.capabilities
	capabilities[token].refused == ""
}

# METADATA
# description: The cell that grants each capability.
grants contains {"kind": "capability", "name": token, "by": row_name} if some token in granted

# METADATA
# description: Granted capabilities that are set up outside the guest, before it runs.
hard contains token if {
	some token in granted
	capabilities[token].level == "hard"
}

# METADATA
# description: Granted capabilities that the guest's agent checks again.
soft contains token if {
	some token in granted
	capabilities[token].level == "soft"
}
