/* SPDX-License-Identifier: GPL-2.0 */
/* Observations by branch and target: see learned.h. */
#include "translator/learned.h"

#include <algorithm>

namespace ub::translator {

namespace {

bool before(const Observation &a, const Observation &b)
{
	if (a.from != b.from)
		return a.from < b.from;
	return a.to != b.to ? a.to < b.to : a.calls < b.calls;
}

} // namespace

Learned::Learned(const Request &request, Arena &arena)
	: sorted_(arena, request.learned.size()), first_(arena, uint32_t(sorted_.capacity()))
{
	for (const Observation &seen : request.learned)
		sorted_.push_back(seen);
	std::make_heap(sorted_.begin(), sorted_.end(), before);
	std::sort_heap(sorted_.begin(), sorted_.end(), before);
	for (uint32_t i = 0; i < sorted_.size(); i++)
		(void)first_.find_or_put(0, sorted_[i].from, i);
}

std::span<const Observation> Learned::from(UserAddr branch) const
{
	const uint32_t first = first_.find(0, branch);
	if (first == AddressMap::kMissing)
		return {};

	uint32_t end = first;
	while (end < sorted_.size() && sorted_[end].from == branch)
		end++;
	return sorted_.span().subspan(first, end - first);
}

bool Learned::has(UserAddr branch, UserAddr target) const
{
	const std::span<const Observation> all = from(branch);

	return std::any_of(all.begin(), all.end(), [&](const Observation &o) { return o.to == target; });
}

bool Learned::has(UserAddr branch, UserAddr target, uint32_t calls) const
{
	const std::span<const Observation> all = from(branch);

	return std::any_of(all.begin(), all.end(),
			   [&](const Observation &o) { return o.to == target && o.within(calls); });
}

bool Learned::seen(UserAddr branch, uint32_t calls) const
{
	const std::span<const Observation> all = from(branch);

	return std::any_of(all.begin(), all.end(), [&](const Observation &o) { return o.within(calls); });
}

} // namespace ub::translator
