/* SPDX-License-Identifier: GPL-2.0 */
/* The sites of an address space: a hash table that only grows. See site.h. */

#include <algorithm>

#include "kernel/services.h"
#include "profiler/site.h"

namespace ub::profiler {

namespace {

/* Return: how many words could be read. */
uint32_t peek(uint64_t sp, std::span<uint64_t> words)
{
	return uint32_t(ubk_own_peek(sp, words.data(), words.size_bytes()) / sizeof(uint64_t));
}

/* Made if need be. Null: no memory. */
Stack *stack_of(Site &site)
{
	Stack *stack = __atomic_load_n(&site.stack, __ATOMIC_ACQUIRE);
	if (stack)
		return stack;

	auto *memory = static_cast<Stack *>(ubk_alloc(sizeof(Stack)));
	/* Another thread may be first. */
	if (memory && __atomic_compare_exchange_n(&site.stack, &stack, memory, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return memory;
	ubk_free(memory);
	return stack;
}

} // namespace

std::span<const uint64_t> Site::stack_seen() const
{
	const Stack *kept = __atomic_load_n(&stack, __ATOMIC_ACQUIRE);

	if (!kept)
		return {};
	return {kept->words, __atomic_load_n(&kept->count, __ATOMIC_RELAXED)};
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
	if (Stack *stack = stack_of(site))
		__atomic_store_n(&stack->count, peek(sp, stack->words), __ATOMIC_RELAXED);
}

bool learn(Site &site, const Observation &seen)
{
	Observation *const end = site.learned + site.learned_count;
	Observation *const at = std::lower_bound(site.learned, end, seen);

	if ((at != end && *at == seen) || site.learned_count == kMaxObservations)
		return false;
	std::copy_backward(at, end, end + 1);
	*at = seen;
	site.learned_count++;
	return true;
}

} // namespace ub::profiler
