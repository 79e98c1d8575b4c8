package cordon.rules.reviews_test

import data.cordon.rules.reviews
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"reviews.missing abstained": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/0/verdict",
			"value": "ABSTAIN",
		},
	},
	"reviews.missing none": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/reviews",
			"value": [],
		},
	},
	"reviews.missing validator": {
		"base": "patch",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/1/actor",
			"value": "human",
		},
	},
	"reviews.missing human": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/1/actor",
			"value": "cp18",
		},
	},
	"reviews.missing sentinel in production": {
		"base": "production",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/0/actor",
			"value": "cp18",
		},
	},
	"reviews.missing for the risk": {
		"base": "daring",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/1/actor",
			"value": "cp18",
		},
	},
	"reviews.vetoed": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/0/verdict",
			"value": "FAIL",
		},
		"also": [
			"reviews.missing",
		],
	},
	"reviews.vetoed against a human": {
		"base": "argued",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/0/verdict",
			"value": "FAIL",
		},
		"also": [
			"reviews.missing",
		],
	},
	"reviews.self_review holder": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/0/holder",
			"value": "cbo",
		},
	},
	"reviews.self_review actor": {
		"base": "drill",
		"change": {
			"op": "replace",
			"path": "/intent/requester",
			"value": "cp14",
		},
		"also": [
			"matrix.no_row",
			"reviews.forbidden_pattern",
		],
	},
	"reviews.unknown_reviewer": {
		"base": "reviewed",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/1/actor",
			"value": "cp15",
		},
	},
	"reviews.secret_found": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/facts/secrets_found/-",
			"value": {
				"rule": "aws-key",
				"where": "files[0]:3",
			},
		},
	},
	"reviews.forbidden_pattern": {
		"base": "hello",
		"change": {
			"op": "add",
			"path": "/facts/forbidden_patterns/-",
			"value": {
				"rule": "unshare",
				"where": "commands[0]",
			},
		},
	},
	"reviews.forbidden_pattern no drill": {
		"base": "drill",
		"change": {
			"op": "replace",
			"path": "/intent/requester",
			"value": "cp18",
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"more reviewers than needed": {
		"base": "hello",
		"changes": [
			{
				"op": "add",
				"path": "/facts/reviews/-",
				"value": {
					"actor": "human",
					"verdict": "PASS",
					"holder": "ada",
				},
			},
		],
	},
	"an abstention beside": {
		"base": "reviewed",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/reviews/1/verdict",
				"value": "ABSTAIN",
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

test_reviewers if {
	testing.decide(testing.bases.hello).obligations.reviewers == {"cp14"}
	testing.decide(testing.bases.patch).obligations.reviewers == {"cp14", "cp18"}
	testing.decide(testing.bases.production).obligations.reviewers == {"cp14", "human"}
	testing.decide(testing.bases.daring).obligations.reviewers == {"cp14", "human"}
}

test_patterns_are_waived_in_staging_only if {
	reviews.patterns_tolerated with input as testing.bases.drill
	not reviews.patterns_tolerated with input as json.patch(testing.bases.drill, [{
		"op": "replace",
		"path": "/intent/phase",
		"value": "production",
	}])
}

test_the_message_names_rule_and_place if {
	answer := testing.decide(json.patch(testing.bases.hello, [{
		"op": "add",
		"path": "/facts/secrets_found/-",
		"value": {"rule": "aws-key", "where": "files[0]:3"},
	}]))
	{reason.msg | some reason in answer.reasons} == {`The request holds a secret: "aws-key at files[0]:3"`}
}
