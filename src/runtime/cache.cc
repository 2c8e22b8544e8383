/* SPDX-License-Identifier: GPL-2.0 */
/* Changes of the cache; every one leaves each chain valid for readers. See cache.h. */

#include "runtime/cache.h"

namespace ub::runtime {

namespace {

Translation *whole(ub_translation *beginning)
{
	return static_cast<Translation *>(beginning);
}

} // namespace

extern "C" {
ub_translation ub_no_translation = {nullptr, ~0ul, 0, nullptr};
}

Translation *Cache::unlink(ub_translation **link)
{
	Translation *gone = whole(*link);

	/* gone->next stays: a reader standing on it walks on. */
	__atomic_store_n(link, gone->next, __ATOMIC_RELEASE);
	if (!--size_)
		footprint_.clear();
	gone->retired_next = nullptr;
	return gone;
}

void Cache::insert(Translation &translation)
{
	ub_translation **head = &buckets_[ub_bucket(translation.start().value)];

	translation.next = *head;
	__atomic_store_n(head, &translation, __ATOMIC_RELEASE);
	for (const Extent &source : translation.sources)
		footprint_.add(source);
	size_++;
}

Translation *Cache::remove(UserAddr start, uint32_t calls)
{
	for (ub_translation **link = &buckets_[ub_bucket(start.value)]; *link != &ub_no_translation;
	     link = &(*link)->next)
		if (whole(*link)->start() == start && whole(*link)->calls == calls)
			return unlink(link);
	return nullptr;
}

template <typename Which>
Translation *Cache::remove_all(Which which)
{
	Translation *gone = nullptr;

	for (ub_translation *&head : buckets_) {
		ub_translation **link = &head;

		while (*link != &ub_no_translation) {
			if (!which(*whole(*link))) {
				link = &(*link)->next;
				continue;
			}
			Translation *dropped = unlink(link);
			dropped->retired_next = gone;
			gone = dropped;
		}
	}
	return gone;
}

Translation *Cache::remove_from(UserAddr begin, UserAddr end)
{
	if (!size_ || !footprint_.may_overlap(begin, end))
		return nullptr;
	return remove_all([=](const Translation &each) { return each.made_from(begin, end); });
}

Translation *Cache::remove_of(const profiler::Site &site)
{
	return size_ ? remove_all([&](const Translation &each) { return each.site == &site; }) : nullptr;
}

} // namespace ub::runtime
