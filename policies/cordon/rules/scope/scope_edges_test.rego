package cordon.rules.scope_test

import data.cordon.rules.scope
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"scope.denied read": ["The scope points into the denylist: \"/root/**\""],
	"scope.not_plain braces": ["The scope's glob is not spelled plainly: \"/{a,b}\""],
	"scope.write_not_allowed all": ["The scope asks to write outside the writable trees: \"/**\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := scope.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

test_the_capability_opens_tmp_and_nothing_else if {
	request := json.patch(testing.bases.tmp, [{
		"op": "replace",
		"path": "/intent/scope/write",
		"value": ["/tmp/**", "/**", "/**/a"],
	}])
	scope.granted_write == {"/tmp/**"} with input as request
}

test_a_glob_that_says_nothing_is_denied_and_not_granted if {
	request := json.patch(testing.bases.hello, [{
		"op": "replace",
		"path": "/intent/scope/read",
		"value": ["", "/workspace//x", "/workspace/**"],
	}])
	scope.granted_read == {"/workspace/**"} with input as request
	"scope.not_plain" in {reason.code | some reason in scope.deny} with input as request
}
