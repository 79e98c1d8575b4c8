package cordon.rules.phases_test

import data.cordon.rules.phases
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"phases.key_missing agent": ["A key that this phase needs has not signed: \"agent\""],
	"phases.key_missing none": ["A key that this phase needs has not signed: \"agent\", \"human\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := phases.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_signed(signatures) := json.patch(testing.bases.production, [{
	"op": "replace",
	"path": "/facts/signatures",
	"value": signatures,
}])

edge_codes(request) := codes if codes := {reason.code | some reason in phases.deny} with input as request

test_a_star_turns_no_key if {
	request := edge_signed([testing.signature("*", "ada", "k2"), testing.signature("*", "bob", "k3")])
	{reason.msg | some reason in phases.deny} == {
		`A key that this phase needs has not signed: "agent", "human"`,
	} with input as request
}

test_a_third_signature_keeps_no_two_keys_apart if {
	human := testing.signature("human", "ada", "k2")
	agent := testing.signature("cp14", "ada", "k1")
	third := testing.signature("architect", "bob", "k3")
	"phases.one_holder" in edge_codes(edge_signed([human, agent, third]))
	"phases.one_holder" in edge_codes(edge_signed([third, agent, human]))
}

test_signatures_must_be_there_even_where_none_is_needed if {
	"phases.one_holder" in edge_codes(json.remove(testing.hello, ["/facts/signatures"]))
}
