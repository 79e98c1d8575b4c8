# METADATA
# title: Identity gating
# description: What a claim alone does not give - personas, core paths and priorities need signatures or standing.
package cordon.rules.identity

import data.cordon.reason
import data.cordon.rules.identity.core_paths
import data.cordon.rules.matrix

# METADATA
# description: Roles with a valid signature.
signed_roles contains signature.role if {
	some signature in input.facts.signatures
	signature.valid == true
}

# METADATA
# title: A signature does not verify
# custom:
#   short_name: invalid_signature
#   remedy: Sign again with a current key, or leave the signature out.
deny contains reason.from(rego.metadata.chain(), [reason.field(signature, "role"), reason.field(signature, "kid")]) if {
	some signature in input.facts.signatures
	not verified(signature)
}

verified(signature) if signature.valid == true

# METADATA
# title: The persona is claimed without a signature of that role
# custom:
#   short_name: persona_unsigned
#   remedy: Have the persona's holder sign the intent, or ask without a persona.
deny contains reason.from(rego.metadata.chain(), [matrix.persona]) if not persona_backed

persona_backed if input.intent.persona == ""

persona_backed if input.intent.persona in signed_roles

# METADATA
# title: This capability needs a signature that is not there
# custom:
#   short_name: capability_unsigned
#   remedy: Have the named role sign the intent, or leave the capability out.
deny contains reason.from(rego.metadata.chain(), [token, role]) if {
	some token in input.intent.capabilities
	some role in matrix.capabilities[token].signed_by
	not role in signed_roles
}

# METADATA
# title: Compiling on core paths needs the Architect's signature
# custom:
#   short_name: core_paths
#   remedy: Have the Architect sign the intent, leave dev:compiler out, or work outside the core paths.
deny contains reason.from(rego.metadata.chain(), core_touched) if not core_cleared

core_cleared if "architect" in signed_roles

core_cleared if not "dev:compiler" in input.intent.capabilities

core_cleared if count(core_touched) == 0

core_touched := [path |
	some path in touched
	some pattern in core_paths
	glob.match(pattern, ["/"], path)
]

# METADATA
# description: Every path the intent names as something it works on.
touched := array.flatten([
	[file.path | some file in input.intent.files],
	input.intent.patch.paths,
	input.intent.collect,
	input.intent.scope.write,
])

# METADATA
# title: This priority is reserved
# custom:
#   short_name: priority_reserved
#   remedy: Ask with priority HIGH or lower.
deny contains reason.from(rego.metadata.chain(), [input.intent.priority]) if not priority_open

priority_open if input.intent.priority in data.cordon.rules.identity.open_priorities

priority_open if input.intent.requester in data.cordon.rules.identity.reserved_priorities[input.intent.priority]
