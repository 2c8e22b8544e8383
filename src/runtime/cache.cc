/* SPDX-License-Identifier: GPL-2.0 */
/* Changes of the cache; every one leaves each chain valid for readers. See cache.h. */

#include "runtime/cache.h"

namespace ub::runtime {

Translation *Cache::unlink(Translation **link)
{
	Translation *gone = *link;

	/* gone->next stays: a reader standing on it walks on. */
	__atomic_store_n(link, gone->next, __ATOMIC_RELEASE);
	size_--;
	gone->retired_next = nullptr;
	return gone;
}

void Cache::insert(Translation &translation)
{
	Translation **head = &buckets_[bucket(translation.start)];

	translation.next = *head;
	__atomic_store_n(head, &translation, __ATOMIC_RELEASE);
	size_++;
}

Translation *Cache::remove(UserAddr start)
{
	for (Translation **link = &buckets_[bucket(start)]; *link; link = &(*link)->next)
		if ((*link)->start == start)
			return unlink(link);
	return nullptr;
}

Translation *Cache::remove_from(UserAddr begin, UserAddr end)
{
	Translation *gone = nullptr;

	if (!size_)
		return nullptr;
	for (Translation *&head : buckets_) {
		Translation **link = &head;

		while (*link) {
			if (!(*link)->made_from(begin, end)) {
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

} // namespace ub::runtime
