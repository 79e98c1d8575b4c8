package top_test

import data.top

test_at_the_limit if top.open with input as {"count": 3}

test_over_the_limit if not top.open with input as {"count": 4}
