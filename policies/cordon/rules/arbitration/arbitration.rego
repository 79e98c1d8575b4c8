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
deny contains reason.from(rego.metadata.chain(), [reason.field(review, "actor")]) if {
	not settings.tie_breaker in reviews.passed
	some review in input.facts.reviews
	not reviews.harmless(review)
	not review.actor in reviews.veto
}

# METADATA
# title: A reviewer has said both yes and no
# custom:
#   short_name: contradictory_review
#   remedy: Have that reviewer review it again and send only the last verdict.
deny contains reason.from(rego.metadata.chain(), [reason.field(review, "actor")]) if {
	some review in input.facts.reviews
	not reviews.harmless(review)
	review.actor in reviews.passed
}

# METADATA
# title: Another requester's lease writes in the same place
# custom:
#   short_name: lease_overlap
#   remedy: Wait until that lease has ended, or write elsewhere.
deny contains reason.from(rego.metadata.chain(), [reason.field(lease, "lease_id")]) if {
	some lease in input.facts.active_leases
	not apart(lease)
}

apart(lease) if lease.requester == input.intent.requester

apart(lease) if lease.expires_at <= input.now

apart(lease) if {
	lease.requester != ""
	lease.expires_at > 0
	shared := [ours | some ours in input.intent.scope.write; not ours in settings.private]
	every theirs in lease.write {
		not met(theirs, shared)
	}
}

met(theirs, shared) if {
	not theirs in settings.private
	some ours in shared
	meet(ours, theirs)
}

# METADATA
# scope: document
# description: True when one glob, taken as a path, is matched by the other.
meet(one, other) if glob.match(one, ["/"], other)

meet(one, other) if glob.match(other, ["/"], one)

# METADATA
# title: The lease has been renewed as often as a lease may be
# custom:
#   short_name: renewal_limit
#   remedy: Send a new intent and have it reviewed afresh.
deny contains reason.from(rego.metadata.chain(), []) if not renewable

renewable if {
	input.facts.lease.renews == ""
	input.facts.lease.renewals >= 0
}

renewable if {
	input.facts.lease.renews != ""
	input.facts.lease.renewals < settings.renewals_most
}

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
