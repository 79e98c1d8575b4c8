# METADATA
# title: Environment
# description: Variables a task may be given. The denylist names what changes how programs are loaded or found, and wins.
package cordon.rules.env

import data.cordon.reason

# METADATA
# title: The variable is not on the allowlist
# custom:
#   short_name: not_allowed
#   remedy: Use a variable of env/data.yaml, or one that begins with TASK_.
deny contains reason.from(rego.metadata.chain(), unlisted) if not none_unlisted

none_unlisted if {
	is_array(input.intent.env)
	every variable in input.intent.env {
		variable.name
	}
	count(unlisted) == 0
}

unlisted := [variable.name |
	some variable in input.intent.env
	not listed(variable.name)
	not denied(variable.name)
]

listed(name) if {
	some pattern in data.cordon.rules.env.allowlist
	glob.match(pattern, [], name)
	regex.match(`^[A-Z_][A-Z0-9_]*$`, name)
}

# METADATA
# title: The variable changes how programs are loaded or found
# custom:
#   short_name: denied
#   remedy: Leave the variable out; no capability opens it.
deny contains reason.from(rego.metadata.chain(), forbidden) if not none_forbidden

none_forbidden if {
	is_array(input.intent.env)
	count(forbidden) == 0
}

forbidden := [variable.name | some variable in input.intent.env; denied(variable.name)]

denied(name) if {
	some pattern in data.cordon.rules.env.denylist
	glob.match(pattern, [], upper(name))
}

# METADATA
# title: The variable's value holds a control character or is not UTF-8
# custom:
#   short_name: control_character
#   remedy: Put such bytes into a file; values are printable text.
deny contains reason.from(rego.metadata.chain(), unprintable) if not all_printable

all_printable if {
	every variable in input.intent.env {
		variable.control == false
	}
}

unprintable := [variable.name | some variable in input.intent.env; variable.control == true]

# METADATA
# title: The environment is too large
# custom:
#   short_name: too_large
#   remedy: Put large values into files.
deny contains reason.from(rego.metadata.chain(), []) if not small

small if {
	count(input.intent.env) <= data.cordon.rules.env.most
	every variable in input.intent.env {
		variable.size <= data.cordon.rules.env.largest_bytes
	}
}

# METADATA
# description: Names granted.
granted contains variable.name if {
	some variable in input.intent.env
	listed(variable.name)
	not denied(variable.name)
}
