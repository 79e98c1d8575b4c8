package cordon.rules.commands_test

import data.cordon.rules.commands
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"commands.capability_missing": ["The program needs a capability that the intent does not ask for: \"python3\", \"dev:python\""],
	"commands.not_allowed other group": ["The program is not on the requester's allowlist: \"sh\""],
	"commands.nul_byte": ["An argument holds a NUL byte: \"[\\\"echo\\\", \\\"a\\\\x00b\\\"]\""],
	"commands.program_path elsewhere": [
		`The program is named by a path outside the system's directories: "[\"/opt/echo\", \"Hello, Staging\"]"`,
	],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := commands.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_run(programs) := json.patch(testing.hello, [{
	"op": "replace",
	"path": "/intent/commands",
	"value": [{"argv": [program], "cwd": "/workspace"} | some program in programs],
}])

test_every_command_needs_a_grant if {
	commands.all_granted with input as edge_run(["echo", "ls"])
	not commands.all_granted with input as edge_run([])
	not commands.all_granted with input as edge_run(["echo", "gcc"])
	not commands.all_granted with input as edge_run(["gcc", "echo"])
	not commands.all_granted with input as edge_run(["echo", "/opt/echo"])
}

test_a_program_is_granted_with_its_capability_only if {
	commands.granted == {"echo"} with input as edge_run(["echo", "python3"])
	{grant.name | some grant in commands.grants} == {"echo"} with input as edge_run(["echo", "python3"])
}

test_directories_are_spelled_out if {
	"commands.program_path" in {reason.code | some reason in commands.deny} with input as edge_run(["/**echo"])
}

test_an_artefact_is_granted_by_its_capability if {
	brought := testing.bases.artefact
	commands.granted == {"/artefact/kernel"} with input as brought
	{grant | some grant in commands.grants} == {{
		"kind": "program",
		"name": "/artefact/kernel",
		"by": "matrix cbo/none/staging, exec:artefact",
	}} with input as brought
	commands.granted == set() with input as json.remove(brought, ["/intent/capabilities/0"])
	commands.granted == {"echo"} with input as testing.bases.artefact_beside
}

test_only_what_is_brought_along_is_run_from_there if {
	other := {"op": "replace", "path": "/intent/commands/0/argv/0", "value": "/artefact/other"}
	answer := testing.decide(json.patch(testing.bases.artefact, [other]))
	testing.codes(answer) == {"commands.program_path"}
}
