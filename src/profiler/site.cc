/* SPDX-License-Identifier: GPL-2.0 */
/* The sites of an address space: a hash table that only grows. See site.h. */

#include "profiler/site.h"

namespace ub::profiler {

Site *Sites::find(UserAddr start) const
{
	Site *site = __atomic_load_n(&buckets_[bucket(start)], __ATOMIC_ACQUIRE);

	while (site && site->start != start)
		site = site->next;
	return site;
}

void Sites::insert(Site &site)
{
	Site **head = &buckets_[bucket(site.start)];

	site.next = *head;
	__atomic_store_n(head, &site, __ATOMIC_RELEASE);
	size_++;
}

Site *Sites::take_wanted()
{
	for (uint32_t i = 0; i < kBuckets; i++) {
		cursor_ = (cursor_ + 1) % kBuckets;
		for (Site *site = buckets_[cursor_]; site; site = site->next) {
			if (site->wanted) {
				site->wanted = false;
				return site;
			}
		}
	}
	return nullptr;
}

Site *Sites::remove_any()
{
	for (Site *&head : buckets_) {
		if (Site *site = head) {
			head = site->next;
			size_--;
			return site;
		}
	}
	return nullptr;
}

bool learn(Site &site, const Observation &seen)
{
	for (const Observation &known : site.observations())
		if (known.from == seen.from && known.to == seen.to)
			return false;
	if (site.learned_count == kMaxObservations)
		return false;
	site.learned[site.learned_count++] = seen;
	return true;
}

} // namespace ub::profiler
