package cordon.rules.risk_test

import data.cordon.rules.risk
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"risk.band_refused": {
		"base": "daring",
		"change": {
			"op": "replace",
			"path": "/facts/history/violations",
			"value": 4,
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"just below": {
		"base": "daring",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/history/violations",
				"value": 3,
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

scores := {
	"hello": 0,
	"tmp": 2,
	"python": 8,
	"compiler": 10,
	"architect": 25,
	"patch": 10,
	"egress": 30,
	"core": 25,
	"daring": 60,
	"production": 25,
}

test_scores if {
	every name, score in scores {
		testing.decide(testing.bases[name]).risk.score == score
	}
}

test_factors_are_named if {
	testing.decide(testing.bases.production).risk.factors == {
		{"name": "production", "points": 20},
		{"name": "newcomer", "points": 5},
	}
	testing.decide(testing.bases.tmp).risk.factors == {{"name": "capability fs:write_tmp", "points": 2}}
	testing.decide(testing.bases.hello).risk.factors == set()
}

test_a_run_before_makes_no_newcomer if {
	risk.score == 20 with input as json.patch(testing.bases.production, [{
		"op": "replace",
		"path": "/facts/history/runs",
		"value": 1,
	}])
}

test_each_violation_counts if {
	risk.score == 10 with input as json.patch(testing.bases.hello, [{
		"op": "replace",
		"path": "/facts/history/violations",
		"value": 1,
	}])
}

test_long_runs if {
	risk.score == 0 with input as timed(120)
	risk.score == 5 with input as timed(121)
}

timed(seconds) := json.patch(testing.bases.hello, [{
	"op": "replace",
	"path": "/intent/limits/wallclock_timeout_s",
	"value": seconds,
}])

bands := {0: "low", 34: "low", 35: "medium", 59: "medium", 60: "high", 99: "high", 100: "critical", 1000: "critical"}

demands := {0: set(), 35: {"cp14"}, 60: {"cp14", "human"}, 100: {"cp14", "human"}}

test_bands if {
	every score, band in bands {
		risk.band == band with risk.score as score
	}
}

test_demands if {
	every score, reviewers in demands {
		risk.demanded_reviewers == reviewers with risk.score as score
	}
}
