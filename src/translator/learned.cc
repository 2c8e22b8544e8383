/* SPDX-License-Identifier: GPL-2.0 */
/* Observations by branch and target: see learned.h. */
#include "translator/learned.h"

#include <algorithm>

namespace ub::translator {

namespace {

bool before(const Observation &a, const Observation &b)
{
	return a.from != b.from ? a.from < b.from : a.to < b.to;
}

} // namespace

Learned::Learned(std::span<const Observation> seen, Arena &arena)
{
	Observation *sorted = arena.make<Observation>(seen.size());

	if (!sorted)
		return;
	std::copy_n(seen.data(), seen.size(), sorted);
	std::make_heap(sorted, sorted + seen.size(), before);
	std::sort_heap(sorted, sorted + seen.size(), before);
	sorted_ = {sorted, seen.size()};
}

std::span<const Observation> Learned::from(UserAddr branch) const
{
	const Observation *end = sorted_.data() + sorted_.size();
	const Observation *low = std::lower_bound(sorted_.data(), end, Observation{branch, UserAddr(0)}, before);
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
