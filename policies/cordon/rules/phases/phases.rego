# METADATA
# title: Phases and keys
# description: Staging needs agents' approvals and a lease. Production needs two keys, one human's and one agent's.
package cordon.rules.phases

import data.cordon.reason

# METADATA
# description: The keys this phase needs, by kind.
keys_required contains kind if some kind in data.cordon.rules.phases.keys[input.intent.phase]

# METADATA
# title: A key that this phase needs has not signed
# custom:
#   short_name: key_missing
#   remedy: Have a holder of the named kind of key sign the intent.
deny contains reason.from(rego.metadata.chain(), missing) if not all_turned

all_turned if {
	every kind in data.cordon.rules.phases.keys[input.intent.phase] {
		turned(kind)
	}
}

missing := [kind | some kind in keys_required; not turned(kind)]

turned(kind) if count(turned_by(kind)) > 0

turned_by(kind) := {signature.holder |
	some signature in input.facts.signatures
	signature.valid == true
	signature.role in data.cordon.rules.phases.roles[kind]
}

# METADATA
# title: One holder has turned both keys
# custom:
#   short_name: one_holder
#   remedy: Two different holders have to sign, each with a key of their own.
deny contains reason.from(rego.metadata.chain(), []) if not held_apart

held_apart if {
	count(data.cordon.rules.phases.keys[input.intent.phase]) == 0
	is_array(input.facts.signatures)
}

held_apart if not all_turned

held_apart if {
	some first in input.facts.signatures
	first.valid == true
	first.role in data.cordon.rules.phases.roles.human
	some second in input.facts.signatures
	second.valid == true
	second.role in data.cordon.rules.phases.roles.agent
	first.holder != second.holder
	first.kid != second.kid
}
