/* SPDX-License-Identifier: GPL-2.0 */
/* Observations by branch and target: see learned.h. */
#include "translator/learned.h"

#include <algorithm>

#include "translator/hints.h"

namespace ub::translator {

namespace {

bool before(const Observation &a, const Observation &b)
{
	return a.from != b.from ? a.from < b.from : a.to < b.to;
}

} // namespace

Learned::Learned(const Request &request, Arena &arena)
	: sorted_(arena, request.learned.size() + request.stack_at_end.size())
{
	for (const Observation &seen : request.learned)
		sorted_.push_back(seen);
	add_open_calls(request.mm, request.stack_at_end, sorted_);
	std::make_heap(sorted_.begin(), sorted_.end(), before);
	std::sort_heap(sorted_.begin(), sorted_.end(), before);
}

std::span<const Observation> Learned::from(UserAddr branch) const
{
	const Observation *end = sorted_.end();
	const Observation *low = std::lower_bound(sorted_.begin(), end, Observation{branch, UserAddr(0)}, before);
	const Observation *high = low;

	while (high != end && high->from == branch)
		high++;
	return {low, high};
}

bool Learned::has(UserAddr branch, UserAddr target) const
{
	return std::binary_search(sorted_.begin(), sorted_.end(), Observation{branch, target}, before);
}

} // namespace ub::translator
