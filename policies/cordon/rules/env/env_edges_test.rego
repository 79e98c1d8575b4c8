package cordon.rules.env_test

import data.cordon.rules.env
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"env.control_character": ["The variable's value holds a control character or is not UTF-8: \"LANG\""],
	"env.denied in lower case": ["The variable changes how programs are loaded or found: \"http_proxy\""],
	"env.not_allowed empty": ["The variable is not on the allowlist: \"\""],
	"env.too_large": ["The variable's value is too large: \"LANG\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := env.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

test_only_listed_names_are_granted if {
	variables := [{"name": name, "size": 1, "control": false} | some name in ["LANG", "FOO", "LD_PRELOAD"]]
	request := json.patch(testing.hello, [{"op": "replace", "path": "/intent/env", "value": variables}])
	env.granted == {"LANG"} with input as request
}
