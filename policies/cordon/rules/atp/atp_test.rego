package cordon.rules.atp_test

import data.cordon.rules.atp
import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"atp.insufficient": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/budget/atp",
			"value": 1,
		},
	},
	"atp.nap": {
		"base": "core",
		"change": {
			"op": "replace",
			"path": "/facts/budget/atp",
			"value": 19,
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"just enough": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/budget/atp",
				"value": 2,
			},
		],
	},
	"at the floor": {
		"base": "core",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/budget/atp",
				"value": 20,
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()

costs := {
	"hello": 2,
	"tmp": 3,
	"python": 4,
	"compiler": 5,
	"architect": 7,
	"egress": 12,
	"daring": 28,
	"production": 4,
}

test_costs if {
	every name, cost in costs {
		testing.decide(testing.bases[name]).obligations.atp_cost == cost
	}
}

test_each_further_command_costs_one if {
	atp.cost == 4 with input as json.patch(testing.bases.hello, [
		{"op": "add", "path": "/intent/commands/-", "value": {"argv": ["true"], "cwd": "/workspace"}},
		{"op": "add", "path": "/intent/commands/-", "value": {"argv": ["true"], "cwd": "/workspace"}},
	])
	atp.cost == 2 with input as json.patch(testing.bases.hello, [{"op": "replace", "path": "/intent/commands", "value": []}])
}

test_four_is_not_much if {
	atp.awake with input as json.patch(testing.bases.python, [{"op": "replace", "path": "/facts/budget/atp", "value": 4}])
}

test_an_unknown_phase_costs_nothing_and_is_not_for_sale if {
	atp.cost == 0 with input as {}
	not atp.affordable with input as {}
}
