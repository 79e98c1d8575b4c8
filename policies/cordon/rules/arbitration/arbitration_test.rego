package cordon.rules.arbitration_test

import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"arbitration.reviewers_disagree": {
		"base": "reviewed",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/1/verdict",
			"value": "FAIL",
		},
	},
	"arbitration.contradictory_review": {
		"base": "argued",
		"change": {
			"op": "replace",
			"path": "/facts/reviews/2/verdict",
			"value": "FAIL",
		},
	},
	"arbitration.lease_overlap below": {
		"base": "beside",
		"change": {
			"op": "replace",
			"path": "/facts/active_leases/0/write/0",
			"value": "/workspace/site/a",
		},
	},
	"arbitration.lease_overlap above": {
		"base": "beside",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/workspace/docs/a",
		},
	},
	"arbitration.lease_overlap same": {
		"base": "beside",
		"change": {
			"op": "replace",
			"path": "/intent/scope/write/0",
			"value": "/workspace/docs/**",
		},
	},
	"arbitration.renewal_limit": {
		"base": "renewal",
		"change": {
			"op": "replace",
			"path": "/facts/lease/renewals",
			"value": 3,
		},
	},
	"arbitration.repeat_violator": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/history/violations",
			"value": 3,
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"a human breaks the tie": {
		"base": "argued",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/reviews/1/verdict",
				"value": "FAIL",
			},
			{
				"op": "remove",
				"path": "/facts/reviews/2",
			},
		],
	},
	"the requester's own lease": {
		"base": "beside",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/active_leases/0/write/0",
				"value": "/workspace/site/a",
			},
			{
				"op": "replace",
				"path": "/facts/active_leases/0/requester",
				"value": "cbo",
			},
		],
	},
	"a lease that has ended": {
		"base": "beside",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/active_leases/0/write/0",
				"value": "/workspace/site/a",
			},
			{
				"op": "replace",
				"path": "/facts/active_leases/0/expires_at",
				"value": 1700000000,
			},
		],
	},
	"a lease on all of a workspace": {
		"base": "beside",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/active_leases/0/write/0",
				"value": "/workspace/**",
			},
		],
	},
	"all of the own workspace": {
		"base": "beside",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write/0",
				"value": "/workspace/**",
			},
		],
	},
	"a lease on all of tmp": {
		"base": "tmp",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write/0",
				"value": "/tmp/**",
			},
			{
				"op": "add",
				"path": "/facts/active_leases/-",
				"value": {
					"lease_id": "l-2",
					"requester": "cp18",
					"write": [
						"/tmp/a",
					],
					"expires_at": 1700000001,
				},
			},
		],
	},
	"a lease on a place in tmp": {
		"base": "tmp",
		"changes": [
			{
				"op": "replace",
				"path": "/intent/scope/write/0",
				"value": "/tmp/a",
			},
			{
				"op": "add",
				"path": "/facts/active_leases/-",
				"value": {
					"lease_id": "l-2",
					"requester": "cp18",
					"write": [
						"/tmp/**",
					],
					"expires_at": 1700000001,
				},
			},
		],
	},
	"renewed for the first time": {
		"base": "renewal",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/lease/renewals",
				"value": 0,
			},
		],
	},
	"two violations": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/history/violations",
				"value": 2,
			},
		],
	},
	"a human passes the violator": {
		"base": "argued",
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

# Nobody reads the window in Rego: the executor counts by it.
test_window_of_violations if data.cordon.rules.arbitration.settings.violations_window_s == 86400
