# METADATA
# title: Decisions in bulk
# description: |
#   Added to a copy of a policy directory by `cordon replay`, and to no other: asks the decision once for each row of a
#   batch, so that thousands cost one request. A row whose decision is undefined is answered by an empty list.
package cordon.replay_bulk

# METADATA
# description: One decision for each row, in the order of the rows.
answers := [[decision | decision := data.cordon.decision with input as row] | some row in input.rows]

# METADATA
# description: |
#   As `answers`, but of a denial its reasons alone: what a denied request would have owed is not computed. Asked only
#   where the decision's reasons are `data.cordon.reasons` (harness/replay/brief.py makes sure).
brief_answers := [[answer | answer := brief with input as row] | some row in input.rows]

brief := {"allow": false, "reasons": data.cordon.reasons} if {
	count(data.cordon.reasons) > 0
} else := data.cordon.decision
