/* SPDX-License-Identifier: GPL-2.0 */
/* Observations by branch and target: see learned.h. */
#include "translator/learned.h"

#include <algorithm>

namespace ub::translator {

Learned::Learned(const Request &request, Arena &arena) : sorted_(request.learned)
{
	if (std::is_sorted(sorted_.begin(), sorted_.end()))
		return;
	Table<Observation> copy(arena, request.learned.size());
	for (const Observation &seen : request.learned)
		copy.push_back(seen);
	std::make_heap(copy.begin(), copy.end());
	std::sort_heap(copy.begin(), copy.end());
	sorted_ = copy.span();
}

std::span<const Observation> Learned::from(UserAddr branch) const
{
	const auto first = std::lower_bound(sorted_.begin(), sorted_.end(), branch,
					    [](const Observation &o, UserAddr from) { return o.from < from; });
	auto end = first;

	while (end != sorted_.end() && end->from == branch)
		end++;
	return {first, end};
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
