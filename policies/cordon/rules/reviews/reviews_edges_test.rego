package cordon.rules.reviews_test

import data.cordon.rules.reviews
import data.cordon.testing_test as testing

# What a denial says, by the case that is denied: the offending values, and nothing else.
edge_words := {
	"reviews.forbidden_pattern": ["The request holds a forbidden pattern: \"unshare at commands[0]\""],
	"reviews.missing abstained": ["A review that is needed has not passed: \"cp14\""],
	"reviews.secret_found": ["The request holds a secret: \"aws-key at files[0]:3\""],
	"reviews.self_review actor": ["The requester has reviewed its own request: \"cp14\""],
	"reviews.unknown_reviewer": ["This reviewer has no say: \"cp15\""],
	"reviews.vetoed": ["A reviewer whose no is final said no: \"cp14\""],
}

edge_said[name] := [reason.msg | some reason in found; reason.code == split(name, " ")[0]] if {
	some name, _ in edge_words
	case := cases[name]
	found := reviews.deny with input as json.patch(testing.bases[case.base], [case.change])
		with data.cordon.stamp as {"digest": testing.digest}
}

test_words if edge_said == edge_words

edge_codes(request) := codes if codes := {reason.code | some reason in reviews.deny} with input as request

test_a_star_has_no_say_and_no_veto if {
	request := json.patch(testing.hello, [{"op": "add", "path": "/facts/reviews/-", "value": testing.review("*", "FAIL")}])
	edge_codes(request) == {"reviews.unknown_reviewer"}
}

test_the_smallest_patch_is_validated if {
	patch := {"size": 1, "paths": ["/workspace/a.py"]}
	"cp18" in reviews.required with input as json.patch(testing.hello, [{"op": "replace", "path": "/intent/patch", "value": patch}])
}

test_a_phase_without_reviewers_lets_nothing_pass if {
	codes := {reason.code | some reason in reviews.deny} with input as testing.hello
		with reviews.required_in as {"staging": []}
	"reviews.missing" in codes
}

test_a_patch_of_unknown_size_is_not_passed if {
	"reviews.missing" in edge_codes(json.remove(testing.hello, ["/intent/patch/size"]))
}
