package cordon.rules.matrix_test

import data.cordon.rules.matrix
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"matrix.always_refused": [
		`This capability is refused to everyone: "dev:gpu", "a passed-through device opens the host's memory to the guest"`,
	],
	"matrix.no_row actor": ["The matrix has no line for this actor, persona and phase: \"matrix stranger/none/staging\""],
	"matrix.not_granted": ["The matrix does not grant this capability: \"res:large_mem\", \"matrix cbo/none/staging\""],
	"matrix.unknown_capability": ["Nobody knows this capability: \"base:all\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := matrix.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_ask(capabilities) := json.patch(testing.hello, [{"op": "replace", "path": "/intent/capabilities", "value": capabilities}])

test_every_capability_needs_a_grant if {
	matrix.all_granted with input as edge_ask(["base:execute", "dev:python"])
	not matrix.all_granted with input as edge_ask([])
	not matrix.all_granted with input as edge_ask(["base:execute", "res:large_mem"])
	not matrix.all_granted with input as edge_ask(["res:large_mem", "base:execute"])
}

test_a_refused_capability_is_not_granted_by_its_cell if {
	cell := {"capabilities": ["base:execute", "dev:gpu"], "programs": []}
	matrix.granted == {"base:execute"} with input as edge_ask(["base:execute", "dev:gpu"])
		with matrix.rows.cbo.none.staging as cell
}

test_without_a_row_that_alone_is_said if {
	request := json.patch(testing.hello, [{"op": "replace", "path": "/intent/requester", "value": "stranger"}])
	{reason.code | some reason in matrix.deny} == {"matrix.no_row"} with input as request
}

test_every_capability_says_how_it_is_enforced if {
	every capability in matrix.capabilities {
		capability.level in {"hard", "soft"}
		capability.enforced_by != ""
	}
}
