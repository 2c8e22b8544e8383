/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cache: the published translations of one address space, by the address their
 * gap begins at. Trusted.
 *
 * Lookups take no lock and happen inside a run bracket (ubk_run_begin/_end): what is
 * found stays valid until _end. Changes are made under the space's lock; what is unlinked is
 * freed by ubk_defer() after every bracket of before has closed.
 */
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/extent.h"
#include "kernel/services.h"
#include "sfi/contract.h"

struct ub_space;

namespace ub::profiler {
struct Site;
}

namespace ub::runtime {

/* Verified, published, immutable. One allocation: the lists follow the object. */
struct Translation {
	Translation *next = nullptr;	/* hash chain */
	UserAddr start;
	KernelAddr code;
	uint32_t code_bytes = 0;
	bool uses_fpu = false;
	const sfi::Exit *exits = nullptr;
	std::span<const Extent> sources;	/* the guest bytes it was made from */
	profiler::Site *site = nullptr;	/* lives as long as the space */
	Translation *retired_next = nullptr; /* list of just unlinked ones */
	ubk_deferred deferred;

	bool made_from(UserAddr begin, UserAddr end) const
	{
		for (const Extent &source : sources)
			if (source.overlaps(begin, end))
				return true;
		return false;
	}
};

class Cache {
public:
	/* Whether find() may find something; never dereferences, so it needs no bracket. */
	bool may_have(UserAddr start) const { return __atomic_load_n(&buckets_[bucket(start)], __ATOMIC_RELAXED); }

	/* Inside a run bracket, or under the space's lock. */
	const Translation *find(UserAddr start) const
	{
		const Translation *at = __atomic_load_n(&buckets_[bucket(start)], __ATOMIC_ACQUIRE);

		while (at && at->start != start)
			at = __atomic_load_n(&at->next, __ATOMIC_ACQUIRE);
		return at;
	}

	/* Under the space's lock. insert() wants no translation of the same start to be there.
	 * remove() unlinks the one of a start (or returns null), remove_from() all made from
	 * [begin, end), chained by retired_next. */
	void insert(Translation &translation);
	Translation *remove(UserAddr start);
	Translation *remove_from(UserAddr begin, UserAddr end);
	uint32_t size() const { return size_; }

private:
	static constexpr uint32_t kBuckets = 512;
	static uint32_t bucket(UserAddr start) { return uint32_t(start.value ^ start.value >> 9) % kBuckets; }

	Translation *unlink(Translation **link);

	Translation *buckets_[kBuckets] = {};
	uint32_t size_ = 0;
};

} // namespace ub::runtime
