# METADATA
# title: Command allowlist
# description: |
#   Programs are named, in groups; a group belongs to a capability and a line of the matrix grants groups. A program that
#   is brought along (rules/artefacts) is named by /artefact/NAME and granted by exec:artefact. Arguments are not judged:
#   what a program may touch is the lease's scope, enforced in the guest.
package cordon.rules.commands

import data.cordon.reason
import data.cordon.rules.commands.directories
import data.cordon.rules.commands.groups
import data.cordon.rules.matrix

# METADATA
# scope: document
# description: The program's name, without a directory of the system's own.
program(command) := name if {
	name := command.argv[0]
	not contains(name, "/")
}

program(command) := name if {
	some directory in directories
	startswith(command.argv[0], directory)
	name := substring(command.argv[0], count(directory), -1)
	not contains(name, "/")
}

program(command) := path if {
	some path in brought_along
	command.argv[0] == path
}

# METADATA
# description: The path of each artefact of the intent.
brought_along contains concat("/", ["/artefact", artefact.name]) if some artefact in input.intent.artefacts

# METADATA
# description: The program of each command that has one; as many as there are commands when all do.
named := [program(command) | some command in input.intent.commands]

# METADATA
# description: Each program named, with each group of the requester's line that holds it.
matches contains [name, group] if {
	some name in named
	some group in matrix.row.programs
	name in groups[group].names
}

# METADATA
# title: The program is named by a path outside the system's directories
# custom:
#   short_name: program_path
#   remedy: Name the program alone, or by /usr/bin; what was made in the workspace is run by its interpreter.
deny contains reason.from(rego.metadata.chain(), [reason.field(command, "argv")]) if {
	some command in input.intent.commands
	not program(command)
}

# METADATA
# title: The program is not on the requester's allowlist
# custom:
#   short_name: not_allowed
#   remedy: Use a program of a group the matrix grants, or have the group added to the requester's line.
deny contains reason.from(rego.metadata.chain(), [name]) if {
	matrix.row
	some name in named
	not name in listed
}

listed contains name if some [name, _] in matches

listed contains name if some name in brought_along

# METADATA
# title: The program needs a capability that the intent does not ask for
# custom:
#   short_name: capability_missing
#   remedy: Add the capability to the intent.
deny contains reason.from(rego.metadata.chain(), [name, needed]) if {
	some [name, group] in matches
	needed := groups[group].capability
	not needed in input.intent.capabilities
}

# METADATA
# title: An argument holds a NUL byte
# custom:
#   short_name: nul_byte
#   remedy: Take the NUL out; execve would cut the argument there.
deny contains reason.from(rego.metadata.chain(), [reason.field(command, "argv")]) if {
	some command in input.intent.commands
	contains(concat("", command.argv), "\u0000")
}

# METADATA
# description: Every command has a grant; without this nothing is allowed, whatever denies or does not.
all_granted if {
	count(named) > 0
	count(named) == count(input.intent.commands)
	every name in named {
		name in granted
	}
}

# METADATA
# scope: document
# description: Names of the programs asked for and granted.
granted contains name if {
	some [name, group] in matches
	groups[group].capability in matrix.granted
}

granted contains name if {
	"exec:artefact" in matrix.granted
	some name in named
	name in brought_along
}

# METADATA
# scope: document
# description: What grants each program - a group, or the capability to execute what was brought along.
grants contains {"kind": "program", "name": name, "by": sprintf("%s, programs %s", [matrix.row_name, group])} if {
	some [name, group] in matches
	groups[group].capability in matrix.granted
}

grants contains {"kind": "program", "name": name, "by": sprintf("%s, exec:artefact", [matrix.row_name])} if {
	some name in granted
	name in brought_along
}
