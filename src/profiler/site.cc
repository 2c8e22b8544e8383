/* SPDX-License-Identifier: GPL-2.0 */
/* The sites of an address space: a hash table that only grows. See site.h. */

#include "kernel/services.h"
#include "profiler/site.h"

namespace ub::profiler {

std::span<const uint64_t> Site::stack_words() const
{
	const StackTop *top = __atomic_load_n(&stack, __ATOMIC_ACQUIRE);

	return top ? std::span(top->words, __atomic_load_n(&top->count, __ATOMIC_RELAXED)) : std::span<const uint64_t>();
}

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

void keep_stack(Site &site, uint64_t sp)
{
	StackTop *top = __atomic_load_n(&site.stack, __ATOMIC_ACQUIRE);

	if (!top) {
		auto *memory = static_cast<StackTop *>(ubk_alloc(sizeof(StackTop)));
		if (!memory)
			return;
		/* Another thread may be first. */
		if (__atomic_compare_exchange_n(&site.stack, &top, memory, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			top = memory;
		else
			ubk_free(memory);
	}
	const unsigned long bytes = ubk_own_peek(sp, top->words, sizeof(top->words));
	__atomic_store_n(&top->count, uint32_t(bytes / sizeof(uint64_t)), __ATOMIC_RELAXED);
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
