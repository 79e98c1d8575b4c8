# METADATA
# title: Shape
# description: What every request must look like before anything about it is judged.
package cordon.rules.shape

import data.cordon.reason
import data.cordon.rules.shape.bounds

# METADATA
# title: The input is not of the version this policy reads
# custom:
#   short_name: version
#   remedy: Build the input with the executor that these policies came with.
deny contains reason.from(rego.metadata.chain(), []) if not known_version

known_version if {
	input.schema == "cordon.input/1"
	input.now > 0
}

# METADATA
# title: The intent's id is not a plain name
# custom:
#   short_name: intent_id
#   remedy: Use at most 128 letters, digits, dots, colons, hyphens and underscores, a letter or digit first.
deny contains reason.from(rego.metadata.chain(), []) if not plain_id

plain_id if regex.match(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`, input.intent.id)

# METADATA
# title: A part of the request is missing, or there is one that nobody knows
# description: Other concerns walk these lists and say nothing about one that is not there.
# custom:
#   short_name: incomplete
#   remedy: Build the input with the executor that these policies came with; every key is present.
deny contains reason.from(rego.metadata.chain(), []) if not complete

complete if {
	object.keys(input.intent) == {
		"id", "requester", "persona", "phase", "priority", "capabilities", "commands", "env", "files", "artefacts", "patch",
		"collect", "scope", "limits",
	}
	object.keys(input.intent.scope) == {"read", "write", "network", "endpoints"}
	object.keys(input.intent.patch) == {"size", "paths"}
	object.keys(input.facts) == {
		"reviews", "signatures", "secrets_found", "forbidden_patterns", "budget", "history", "active_leases", "builds",
		"lease", "presented", "host",
	}
}

# METADATA
# title: There is nothing to run, or a command without a program
# custom:
#   short_name: no_command
#   remedy: Give at least one command, each with a program name as its first argument.
deny contains reason.from(rego.metadata.chain(), []) if not something_to_run

something_to_run if {
	count(input.intent.commands) > 0
	every command in input.intent.commands {
		command.argv[0] != ""
	}
}

# METADATA
# title: The request is larger than a request may be
# custom:
#   short_name: too_large
#   remedy: Split the work into several intents, or put data into fewer and smaller files.
deny contains reason.from(rego.metadata.chain(), []) if not fits

file_sizes := [file.size | some file in input.intent.files]

fits if {
	count(input.intent.commands) <= bounds.commands
	sum([count(argument) | some command in input.intent.commands; some argument in command.argv]) <= bounds.arguments_bytes
	count(input.intent.files) <= bounds.files
	sum(file_sizes) <= bounds.files_bytes
	count(file_sizes) == count(input.intent.files)
	input.intent.patch.size <= bounds.patch_bytes
	count(input.intent.collect) <= bounds.collect
	count(input.intent.scope.read) + count(input.intent.scope.write) <= bounds.scope_globs
}
