# METADATA
# title: Decisions in bulk
# description: |
#   Added to a policy directory by `cordon replay`, and to no other: asks the decision once for each row of a batch, so
#   that thousands cost one request. A row whose decision is undefined is answered by an empty list.
package cordon.replay_bulk

# METADATA
# description: One answer for each row, in the order of the rows.
answers := [[decision | decision := data.cordon.decision with input as row] | some row in input.rows]
