# METADATA
# title: Artefacts
# description: |
#   Programs that an intent brings along and may execute, and nothing else that is not of the image. Each is named with
#   its digest, and its digest must have come out of a build of the same requester's: a run under a lease with
#   dev:compiler, which the executor recorded and signed.
package cordon.rules.artefacts

import data.cordon.reason
import data.cordon.rules.artefacts.bounds
import data.cordon.rules.artefacts.name_pattern

capability := "exec:artefact"

# METADATA
# title: An artefact is brought along without the capability to execute it
# custom:
#   short_name: not_asked
#   remedy: Ask for exec:artefact, or put the file in as an ordinary one.
deny contains reason.from(rego.metadata.chain(), [reason.field(artefact, "name")]) if {
	not capability in input.intent.capabilities
	some artefact in input.intent.artefacts
}

# METADATA
# title: The capability to execute an artefact is asked for, and none is brought along
# custom:
#   short_name: none_named
#   remedy: Name the artefact with its digest, or leave exec:artefact out.
deny contains reason.from(rego.metadata.chain(), []) if not used

used if not capability in input.intent.capabilities

used if count(input.intent.artefacts) > 0

# METADATA
# title: The artefact's name is not plain
# custom:
#   short_name: name
#   remedy: Use at most 64 small letters, digits, dots, hyphens and underscores, a letter or digit first.
deny contains reason.from(rego.metadata.chain(), [reason.field(artefact, "name")]) if {
	some artefact in input.intent.artefacts
	not plainly_named(artefact)
}

plainly_named(artefact) if regex.match(name_pattern, artefact.name)

# METADATA
# title: Two artefacts have one name
# custom:
#   short_name: same_name
#   remedy: Give each artefact a name of its own.
deny contains reason.from(rego.metadata.chain(), []) if not names_differ

names_differ if {
	names := {artefact.name | some artefact in input.intent.artefacts}
	count(names) == count(input.intent.artefacts)
}

# METADATA
# title: There are too many artefacts, or they are too large
# custom:
#   short_name: too_large
#   remedy: Bring along fewer or smaller programs; the reference has the bounds.
deny contains reason.from(rego.metadata.chain(), []) if not fits

fits if {
	sizes := [artefact.size | some artefact in input.intent.artefacts]
	count(sizes) <= bounds.count
	count(sizes) == count(input.intent.artefacts)
	sum(sizes) <= bounds.bytes
}

# METADATA
# title: The artefact was not built here by this requester
# custom:
#   short_name: unknown_origin
#   remedy: Build it first, under a lease with dev:compiler, and have it collected; its bytes must be the same.
deny contains reason.from(rego.metadata.chain(), [reason.field(artefact, "name")]) if {
	some artefact in input.intent.artefacts
	not built_here(artefact)
}

built_here(artefact) if {
	some build in input.facts.builds
	build.sha256 == artefact.sha256
	build.requester == input.intent.requester
}
