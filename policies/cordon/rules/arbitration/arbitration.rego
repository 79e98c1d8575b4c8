# METADATA
# title: Arbitration
# description: CP16's judgement where others disagree - reviewers, leases that overlap, renewals, repeat violators.
package cordon.rules.arbitration

import data.cordon.reason
import data.cordon.rules.arbitration.settings
import data.cordon.rules.reviews

# METADATA
# title: The reviewers disagree
# custom:
#   short_name: reviewers_disagree
#   remedy: Have a human review it, who decides; or change what the no is about.
deny contains reason.from(rego.metadata.chain(), [actor | some actor in outvoted]) if not agreed

agreed if {
	is_array(input.facts.reviews)
	count(outvoted) == 0
}

agreed if settings.tie_breaker in reviews.passed

# METADATA
# description: Reviewers without a veto who said no (a veto is reviews.vetoed).
outvoted contains review.actor if {
	some review in input.facts.reviews
	review.verdict == "FAIL"
	not review.actor in data.cordon.rules.reviews.veto
}

# METADATA
# title: A reviewer has said both yes and no
# custom:
#   short_name: contradictory_review
#   remedy: Have that reviewer review it again and send only the last verdict.
deny contains reason.from(rego.metadata.chain(), [actor | some actor in contradictory]) if not consistent

consistent if {
	is_array(input.facts.reviews)
	count(contradictory) == 0
}

contradictory contains review.actor if {
	some review in input.facts.reviews
	review.verdict == "FAIL"
	review.actor in reviews.passed
}

# METADATA
# title: Another requester's lease writes in the same place
# custom:
#   short_name: lease_overlap
#   remedy: Wait until that lease has ended, or write elsewhere.
deny contains reason.from(rego.metadata.chain(), [id | some id in overlapping]) if not apart

apart if {
	every lease in input.facts.active_leases {
		is_number(lease.expires_at)
		lease.requester != ""
		is_array(lease.write)
	}
	is_array(input.intent.scope.write)
	is_number(input.now)
	count(overlapping) == 0
}

overlapping contains lease.lease_id if {
	some lease in input.facts.active_leases
	lease.requester != input.intent.requester
	lease.expires_at > input.now
	some theirs in lease.write
	not theirs in settings.private
	some ours in input.intent.scope.write
	not ours in settings.private
	meet(ours, theirs)
}

# METADATA
# description: True when one glob, taken as a path, is matched by the other.
meet(one, other) if glob.match(one, ["/"], other)

meet(one, other) if glob.match(other, ["/"], one)

# METADATA
# title: The lease has been renewed as often as a lease may be
# custom:
#   short_name: renewal_limit
#   remedy: Send a new intent and have it reviewed afresh.
deny contains reason.from(rego.metadata.chain(), []) if not renewable

renewable if input.facts.lease.renews == ""

renewable if input.facts.lease.renewals < settings.renewals_most

# METADATA
# title: The requester has broken rules too often of late
# custom:
#   short_name: repeat_violator
#   remedy: Have a human pass the request, or wait until the violations are out of the window.
deny contains reason.from(rego.metadata.chain(), []) if not trusted

trusted if input.facts.history.violations < settings.violations_limit

trusted if {
	is_number(input.facts.history.violations)
	settings.tie_breaker in reviews.passed
}
