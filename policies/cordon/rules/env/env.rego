# METADATA
# title: Environment
# description: Variables a task may be given. The denylist is of what changes how programs are loaded, and wins.
package cordon.rules.env

import data.cordon.reason

# METADATA
# title: The variable is not on the allowlist
# custom:
#   short_name: not_allowed
#   remedy: Use a variable of env/data.yaml, or one that begins with TASK_.
deny contains reason.from(rego.metadata.chain(), [name]) if {
	some variable in input.intent.env
	name := reason.field(variable, "name")
	not judged(name)
}

# A variable that is denied has a reason of its own.
judged(name) if listed(name)

judged(name) if denied(name)

listed(name) if {
	regex.match(`^[A-Z_][A-Z0-9_]*$`, name)
	some pattern in data.cordon.rules.env.allowlist
	glob.match(pattern, [], name)
}

# METADATA
# title: The variable changes how programs are loaded or found
# custom:
#   short_name: denied
#   remedy: Leave the variable out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), [reason.field(variable, "name")]) if {
	some variable in input.intent.env
	denied(variable.name)
}

denied(name) if {
	some pattern in data.cordon.rules.env.denylist
	glob.match(pattern, [], upper(name))
}

# METADATA
# title: The variable's value holds a control character or is not UTF-8
# custom:
#   short_name: control_character
#   remedy: Put such bytes into a file; values are printable text.
deny contains reason.from(rego.metadata.chain(), [reason.field(variable, "name")]) if {
	some variable in input.intent.env
	not printable(variable)
}

printable(variable) if variable.control == false

# METADATA
# title: The variable's value is too large
# custom:
#   short_name: too_large
#   remedy: Put large values into files.
deny contains reason.from(rego.metadata.chain(), [reason.field(variable, "name")]) if {
	some variable in input.intent.env
	not small(variable)
}

small(variable) if variable.size <= data.cordon.rules.env.largest_bytes

# METADATA
# title: There are too many variables
# custom:
#   short_name: too_many
#   remedy: Put settings into a file.
deny contains reason.from(rego.metadata.chain(), []) if not few

few if count(input.intent.env) <= data.cordon.rules.env.most

# METADATA
# description: Names granted.
granted contains variable.name if {
	some variable in input.intent.env
	listed(variable.name)
	not denied(variable.name)
}
