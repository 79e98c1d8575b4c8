# METADATA
# title: Risk
# description: CP15's score, made of named factors, and what its band demands.
package cordon.rules.risk

import data.cordon.reason
import data.cordon.rules.identity
import data.cordon.rules.matrix
import data.cordon.rules.risk.weights

# METADATA
# scope: document
# description: Each factor that applies, with its points.
factors contains {"name": concat(" ", ["capability", token]), "points": points} if {
	some token in input.intent.capabilities
	points := matrix.capabilities[token].risk
	points > 0
}

factors contains {"name": "production", "points": weights.production} if input.intent.phase == "production"

factors contains {"name": "patch", "points": weights.patch} if input.intent.patch.size > 0

factors contains {"name": "core paths", "points": weights.core_paths} if count(identity.core_touched) > 0

factors contains {"name": "violations", "points": weights.violation * input.facts.history.violations} if {
	input.facts.history.violations > 0
}

factors contains {"name": "newcomer", "points": weights.newcomer} if {
	input.facts.history.runs == 0
	input.intent.phase == "production"
}

factors contains {"name": "long run", "points": weights.long_run} if {
	input.intent.limits.wallclock_timeout_s > weights.long_run_s
}

# METADATA
# description: The sum of the factors.
score := sum([factor.points | some factor in factors])

# METADATA
# description: The highest band whose threshold the score has reached.
band := reached[count(reached) - 1].name

reached := [candidate | some candidate in data.cordon.rules.risk.bands; score >= candidate.from]

# METADATA
# description: Reviewers the band demands besides the phase's.
demanded_reviewers contains actor if {
	some candidate in reached
	some actor in candidate.reviewers
}

# METADATA
# title: The risk is in a band that is refused
# custom:
#   short_name: band_refused
#   remedy: Ask for less at once - the decision lists the factors and their points.
deny contains reason.from(rego.metadata.chain(), [sprintf("score %v, band %v", [score, band])]) if not bearable

bearable if {
	is_number(input.facts.history.violations)
	is_number(input.facts.history.runs)
	is_number(input.intent.patch.size)
	is_number(input.intent.limits.wallclock_timeout_s)
	every candidate in reached {
		candidate.refused == false
	}
}
