# METADATA
# title: Scope
# description: |
#   Globs of what an intent wants to reach. A write glob must lie in a writable tree. A glob wider than the denylist is
#   accepted, because the denylist goes into the lease and wins there; one that points into it is refused.
package cordon.rules.scope

import data.cordon.reason
import data.cordon.rules.paths
import data.cordon.rules.scope.writable

# METADATA
# title: The scope's glob is not spelled plainly
# custom:
#   short_name: not_plain
#   remedy: Write it absolute, in printable ASCII, with * within and ** across segments, without //, . or .. segments.
deny contains reason.from(rego.metadata.chain(), twisted) if not all_plain

all_plain if {
	every glob in input.intent.scope.read {
		plain(glob)
	}
	every glob in input.intent.scope.write {
		plain(glob)
	}
}

twisted := [glob | some field in ["read", "write"]; some glob in input.intent.scope[field]; not plain(glob)]

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
deny contains reason.from(rego.metadata.chain(), outside) if not all_writable

all_writable if {
	every glob in input.intent.scope.write {
		glob in granted_write
	}
}

outside := [glob | some glob in input.intent.scope.write; not glob in granted_write]

# METADATA
# title: The scope points into the denylist
# custom:
#   short_name: denied
#   remedy: Leave the glob out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), forbidden) if not none_forbidden

none_forbidden if {
	is_array(input.intent.scope.read)
	is_array(input.intent.scope.write)
	count(forbidden) == 0
}

forbidden := [glob | some field in ["read", "write"]; some glob in input.intent.scope[field]; paths.denied(glob)]

# METADATA
# description: The write globs asked for that lie in a writable tree the requester has.
granted_write contains glob if {
	some glob in input.intent.scope.write
	some tree in writable
	startswith(glob, tree.below)
	needed := {need | some need in [tree.needs]; need != ""}
	every need in needed {
		need in input.intent.capabilities
	}
}

# METADATA
# description: The read globs asked for.
granted_read contains glob if some glob in input.intent.scope.read
