package cordon.rules.host_test

import data.cordon.testing_test as testing

# Each is denied for exactly the code that it begins with; without the change it is allowed.
cases := {
	"host.memory": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/host/mem_free_mb",
			"value": 767,
		},
	},
	"host.disk": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/host/disk_free_mb",
			"value": 1279,
		},
	},
	"host.cpu": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/host/cpu_free_percent",
			"value": 0,
		},
	},
	"host.slots": {
		"base": "hello",
		"change": {
			"op": "replace",
			"path": "/facts/host/vms_running",
			"value": 8,
		},
	},
}

test_denied if testing.failed(cases) == set()

test_denied_whatever_else_is_missing if testing.fragile(cases) == set()

# Each is allowed: the nearest neighbours of what is denied above.
variants := {
	"just enough memory": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/host/mem_free_mb",
				"value": 768,
			},
		],
	},
	"just enough disk": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/host/disk_free_mb",
				"value": 1280,
			},
		],
	},
	"just enough CPU": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/host/cpu_free_percent",
				"value": 1,
			},
		],
	},
	"the last place": {
		"base": "hello",
		"changes": [
			{
				"op": "replace",
				"path": "/facts/host/vms_running",
				"value": 7,
			},
		],
	},
}

test_allowed if testing.refused(variants) == set()
