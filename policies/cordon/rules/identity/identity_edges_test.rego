package cordon.rules.identity_test

import data.cordon.rules.identity
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"identity.capability_unsigned": ["This capability needs a signature that is not there: \"sys:ptrace\", \"architect\""],
	"identity.core_paths core": ["Compiling on core paths needs the Architect's signature: \"/workspace/core/k\""],
	"identity.invalid_signature": ["A signature does not verify: \"cp14\", \"k1\""],
	"identity.persona_unsigned none": ["The persona is claimed without a signature of that role: \"operator\""],
	"identity.priority_reserved": ["This priority is reserved: \"CRITICAL\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := identity.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_codes(changes) := codes if {
	codes := {reason.code | some reason in identity.deny} with input as json.patch(testing.hello, changes)
}

test_a_star_is_no_priority if {
	"identity.priority_reserved" in edge_codes([{"op": "replace", "path": "/intent/priority", "value": "*"}])
}

test_a_star_has_no_standing if {
	"identity.priority_reserved" in edge_codes([
		{"op": "replace", "path": "/intent/priority", "value": "CRITICAL"},
		{"op": "replace", "path": "/intent/requester", "value": "*"},
	])
}

test_roles_count_by_valid_signatures_only if {
	bad := object.union(testing.signature("architect", "ada", "k2"), {"valid": false})
	signatures := [testing.signature("cp14", "sentinel", "k1"), bad]
	request := json.patch(testing.hello, [{"op": "replace", "path": "/facts/signatures", "value": signatures}])
	identity.signed_roles == {"cp14"} with input as request
}
