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
deny contains reason.from(rego.metadata.chain(), [glob]) if {
	some glob in globs
	not plain(glob)
}

globs contains glob if some glob in input.intent.scope.read

globs contains glob if some glob in input.intent.scope.write

# METADATA
# description: A plain path once its stars stand for letters; more than two stars in a row mean nothing.
plain(glob) if {
	not contains(glob, "***")
	paths.plain(replace(glob, "*", "x"))
}

# METADATA
# title: The scope asks to write outside the writable trees
# custom:
#   short_name: write_not_allowed
#   remedy: Ask for globs below /workspace (or below /tmp with fs:write_tmp).
deny contains reason.from(rego.metadata.chain(), [glob]) if {
	some glob in input.intent.scope.write
	not glob in granted_write
}

# METADATA
# title: The scope points into the denylist
# custom:
#   short_name: denied
#   remedy: Leave the glob out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), [glob]) if {
	some glob in globs
	paths.denied(glob)
}

# METADATA
# description: The write globs asked for that lie in a writable tree the requester has.
granted_write contains glob if {
	some glob in input.intent.scope.write
	strings.any_prefix_match(glob, writable)
}

granted_write contains glob if {
	some token in input.intent.capabilities
	some glob in input.intent.scope.write
	strings.any_prefix_match(glob, writable_with[token])
}

# METADATA
# description: The read globs asked for.
granted_read contains glob if some glob in input.intent.scope.read
