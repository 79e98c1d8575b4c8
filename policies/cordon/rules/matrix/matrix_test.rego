package cordon.rules.matrix_test

import data.cordon.rules.matrix
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"matrix.no_row actor": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/requester",
			"value": "stranger",
		},
	},
	"matrix.no_row persona": {
		"base": "architect",
		"change": {
			"op": "replace",
			"path": "/intent/persona",
			"value": "nobody",
		},
		"also": [
			"identity.persona_unsigned",
		],
	},
	"matrix.no_row phase": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/intent/requester",
			"value": "drill",
		},
	},
	"matrix.unknown_capability": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/capabilities/-",
			"value": "base:all",
		},
	},
	"matrix.always_refused": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/capabilities/-",
			"value": "dev:gpu",
		},
	},
	"matrix.not_granted": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/intent/capabilities/-",
			"value": "res:large_mem",
		},
	},
	"matrix.nothing_asked": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/intent/capabilities",
			"value": [],
		},
		"also": [
			"commands.capability_missing",
		],
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# The matrix, written out a second time: a change of a cell has to be meant.
cells := {
	"cbo/none/staging": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"dev:compiler",
		"exec:artefact",
		"res:high_cpu",
	],
	"cbo/none/production": [
		"base:execute",
		"fs:write_tmp",
	],
	"cbo/architect/staging": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"dev:compiler",
		"sys:ptrace",
		"res:high_cpu",
		"res:large_mem",
	],
	"cbo/architect/production": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"dev:compiler",
	],
	"cbo/operator/staging": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"net:egress",
		"res:high_cpu",
		"res:large_mem",
	],
	"cbo/operator/production": [
		"base:execute",
		"fs:write_tmp",
		"net:egress",
	],
	"cp15/none/staging": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"res:high_cpu",
		"res:large_mem",
	],
	"cp18/none/staging": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"dev:compiler",
		"res:high_cpu",
		"res:large_mem",
	],
	"cp20/none/staging": [
		"base:execute",
		"fs:write_tmp",
	],
	"cp20/none/production": [
		"base:execute",
		"fs:write_tmp",
	],
	"drill/none/staging": [
		"base:execute",
		"fs:write_tmp",
		"dev:python",
		"dev:compiler",
		"exec:artefact",
		"res:high_cpu",
		"res:large_mem",
		"net:egress",
	],
}

programs := {
	"cbo/none/staging": [
		"coreutils",
		"python",
		"compiler",
	],
	"cbo/none/production": [
		"coreutils",
	],
	"cbo/architect/staging": [
		"coreutils",
		"shell",
		"python",
		"compiler",
		"debugger",
	],
	"cbo/architect/production": [
		"coreutils",
		"python",
		"compiler",
	],
	"cbo/operator/staging": [
		"coreutils",
		"python",
	],
	"cbo/operator/production": [
		"coreutils",
	],
	"cp15/none/staging": [
		"coreutils",
		"python",
	],
	"cp18/none/staging": [
		"coreutils",
		"shell",
		"python",
		"compiler",
	],
	"cp20/none/staging": [
		"coreutils",
	],
	"cp20/none/production": [
		"coreutils",
	],
	"drill/none/staging": [
		"coreutils",
		"launcher",
		"shell",
		"python",
		"compiler",
	],
}

levels := {
	"base:execute": "soft",
	"fs:write_tmp": "soft",
	"dev:python": "soft",
	"dev:compiler": "soft",
	"exec:artefact": "soft",
	"sys:ptrace": "soft",
	"net:egress": "hard",
	"res:high_cpu": "hard",
	"res:large_mem": "hard",
}

test_every_cell_is_as_written_here if {
	{name | some name in row_names} == object.keys(cells)
	every name in row_names {
		every token in object.keys(matrix.capabilities) {
			matrix.granted == {token | some cell in cells[name]; cell == token} with input as asking(name, token)
		}
	}
}

test_a_cell_that_is_no_is_denied if {
	every name in row_names {
		every token in object.keys(matrix.capabilities) - {cell | some cell in cells[name]} {
			count(matrix.deny) == 1 with input as asking(name, token)
		}
	}
}

test_every_row_has_the_programs_written_here if {
	object.keys(programs) == object.keys(cells)
	every name, groups in programs {
		matrix.row.programs == groups with input as asking(name, "base:execute")
	}
}

# A cell that could never be granted would only mislead who reads the matrix.
test_no_row_has_what_is_refused_to_everyone if {
	every name in row_names {
		every token in matrix.row.capabilities {
			matrix.capabilities[token].refused == ""
		} with input as asking(name, "base:execute")
	}
}

test_levels if {
	object.keys(levels) == object.keys(matrix.capabilities) - {"dev:gpu"}
	every token, level in levels {
		found := {"hard": matrix.hard, "soft": matrix.soft} with matrix.granted as {token}
		found[level] == {token}
		count(found.hard | found.soft) == 1
	}
}

test_each_capability_costs_and_weighs_what_is_written_here if {
	{token: [capability.atp, capability.risk, capability.signed_by] | some token, capability in matrix.capabilities} == {
		"base:execute": [1, 0, []],
		"fs:write_tmp": [1, 2, []],
		"dev:python": [2, 8, []],
		"dev:compiler": [3, 10, []],
		"exec:artefact": [3, 10, []],
		"sys:ptrace": [5, 25, ["architect"]],
		"net:egress": [10, 30, []],
		"res:high_cpu": [5, 5, []],
		"res:large_mem": [5, 5, []],
		"dev:gpu": [50, 0, []],
	}
}

test_grants_name_the_row if {
	testing.decide(testing.bases.hello).grants == {
		{"kind": "capability", "name": "base:execute", "by": "matrix cbo/none/staging"},
		{"kind": "program", "name": "echo", "by": "matrix cbo/none/staging, programs coreutils"},
	}
}

test_nothing_is_granted_without_asking if {
	not matrix.all_granted with input.intent.capabilities as []
}

row_names contains sprintf("%s/%s/%s", [actor, persona, phase]) if {
	some actor, personas in matrix.rows
	some persona, phases in personas
	some phase, _ in phases
}

asking(name, token) := json.patch(testing.bases.hello, [
	{"op": "replace", "path": "/intent/requester", "value": split(name, "/")[0]},
	{"op": "replace", "path": "/intent/persona", "value": trim_prefix(split(name, "/")[1], "none")},
	{"op": "replace", "path": "/intent/phase", "value": split(name, "/")[2]},
	{"op": "replace", "path": "/intent/capabilities", "value": [token]},
])
