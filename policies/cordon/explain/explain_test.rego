package cordon.explain_test

import data.cordon.explain
import data.cordon.testing_test as testing

test_a_concern_that_passes_says_so if {
	tree := explain.tree with input as testing.hello
	{"concern": "atp", "passed": true, "reasons": set()} in tree
	every branch in tree {
		branch.passed
	}
}

test_a_concern_that_denies_says_why if {
	request := json.patch(testing.hello, [{"op": "replace", "path": "/facts/budget/atp", "value": 1}])
	tree := explain.tree with input as request
	failed := {branch.concern: codes |
		some branch in tree
		not branch.passed
		codes := {reason.code | some reason in branch.reasons}
	}
	failed == {"atp": {"atp.insufficient"}}
}
