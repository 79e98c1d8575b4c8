package gate_test

import data.gate

test_small_allowed if gate.allow with input as {"size": 1, "name": "alice", "tags": ["safe"]}

test_large_denied if gate.allow == false with input as {"size": 99, "name": "alice", "tags": ["safe"]}

test_mallory_denied if gate.allow == false with input as {"size": 1, "name": "mallory", "tags": ["safe"]}

test_odd_tag_denied if gate.allow == false with input as {"size": 1, "name": "alice", "tags": ["odd"]}

test_no_name_is_all_tags if gate.allow == false with input as {"size": 1, "name": "*", "tags": ["*"]}
