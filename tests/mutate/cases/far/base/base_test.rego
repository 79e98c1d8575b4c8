package base_test

import data.base

test_ready if base.ready with input as {"count": 1}
