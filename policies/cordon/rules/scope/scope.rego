# METADATA
# title: Scope
# description: |
#   Globs of what an intent wants to reach. A write glob must lie in a writable tree. A glob wider than the denylist is
#   accepted, because the denylist goes into the lease and wins there; one that points into it is refused.
package cordon.rules.scope

import data.cordon.reason
import data.cordon.rules.paths
import data.cordon.rules.scope.writable
import data.cordon.rules.scope.writable_with

# METADATA
# title: The scope's glob is not spelled plainly
# custom:
#   short_name: not_plain
#   remedy: Write it absolute, in printable ASCII, with * within and ** across segments, without //, . or .. segments.
deny contains reason.from(rego.metadata.chain(), [pattern]) if {
	some pattern in globs
	not plain(pattern)
}

globs contains pattern if some pattern in input.intent.scope.read

globs contains pattern if some pattern in input.intent.scope.write

# METADATA
# description: A plain path once its stars stand for letters; more than two stars in a row mean nothing.
plain(pattern) if {
	not contains(pattern, "***")
	paths.plain(replace(pattern, "*", "x"))
}

# METADATA
# title: The scope asks to write outside the writable trees
# custom:
#   short_name: write_not_allowed
#   remedy: Ask for globs below /workspace (or below /tmp with fs:write_tmp).
deny contains reason.from(rego.metadata.chain(), [pattern]) if {
	some pattern in input.intent.scope.write
	not pattern in granted_write
}

# METADATA
# title: The scope points into the denylist
# custom:
#   short_name: denied
#   remedy: Leave the glob out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), [pattern]) if {
	some pattern in globs
	paths.denied(pattern)
}

# METADATA
# scope: document
# description: The write globs asked for that lie in a writable tree the requester has.
granted_write contains pattern if {
	some pattern in input.intent.scope.write
	strings.any_prefix_match(pattern, writable)
}

granted_write contains pattern if {
	some token in input.intent.capabilities
	some pattern in input.intent.scope.write
	strings.any_prefix_match(pattern, writable_with[token])
}

# METADATA
# description: The read globs asked for, but for those that say nothing plainly.
granted_read contains pattern if {
	some pattern in input.intent.scope.read
	plain(pattern)
}
