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
#include "base/observation.h"
#include "kernel/services.h"
#include "runtime/run.h"
#include "sfi/contract.h"

struct ub_space;

namespace ub::profiler {
struct Site;
}

namespace ub::runtime {

/* Verified, published, immutable. One allocation: the lists follow the object. */
struct Translation : ub_translation {
	uint32_t calls = kNoCalls;	/* open where it begins */
	std::span<const OpenCall> followed;	/* the chains of calls in it, outer ones first */
	uint32_t code_bytes = 0;
	std::span<const Extent> sources;	/* the guest bytes it was made from */
	profiler::Site *site = nullptr;	/* lives as long as the space */
	Translation *retired_next = nullptr; /* list of just unlinked ones */
	ubk_deferred deferred;

	Translation() : Translation(UserAddr(), kNoCalls, KernelAddr(), false, nullptr) {}
	Translation(UserAddr start, uint32_t open_calls, KernelAddr at, bool fpu, const ub_exit *exit_list)
	    : ub_translation{nullptr, start.value | (fpu ? UB_KEY_FPU : 0), at.value, exit_list}, calls(open_calls)
	{
	}

	UserAddr start() const { return UserAddr(key & ~UB_KEY_FPU); }
	bool uses_fpu() const { return key & UB_KEY_FPU; }
	bool made_from(UserAddr begin, UserAddr end) const
	{
		for (const Extent &source : sources)
			if (source.overlaps(begin, end))
				return true;
		return false;
	}
};

/*
 * Where translations may have been made from, in few bits: most changes of guest memory are of
 * data, and are told from those of code without a walk through the cache.
 */
class Footprint {
public:
	void add(const Extent &source)
	{
		for (uint64_t unit = first(source.start); unit <= last(source.end); unit++)
			bits_[unit % kBits / 64] |= uint64_t(1) << unit % 64;
	}
	void clear() { *this = {}; }

	/* False: nothing that was added overlaps it. */
	bool may_overlap(UserAddr begin, UserAddr end) const
	{
		if (begin >= end || last(end) - first(begin) >= kBits)
			return true;
		for (uint64_t unit = first(begin); unit <= last(end); unit++)
			if (bits_[unit % kBits / 64] >> unit % 64 & 1)
				return true;
		return false;
	}

private:
	static constexpr uint64_t kBits = 512, kUnitBytes = 64 << 10;

	static constexpr uint64_t first(UserAddr begin) { return begin.value / kUnitBytes; }
	static constexpr uint64_t last(UserAddr end) { return (end.value - 1) / kUnitBytes; }

	uint64_t bits_[kBits / 64] = {};
};

class Cache {
public:
	constexpr Cache()
	{
		for (ub_translation *&head : buckets_)
			head = &ub_no_translation;
	}

	/* Whether find() may find something; needs no bracket. */
	bool may_have(UserAddr start) const { return ub_may_have(buckets_, start.value); }

	/* Inside a run bracket, or under the space's lock. */
	const Translation *find(UserAddr start, uint32_t calls = kNoCalls) const
	{
		const ub_translation *at = __atomic_load_n(&buckets_[ub_bucket(start.value)], __ATOMIC_ACQUIRE);

		/* The end is known by its place: `start` may be any number, its key too. */
		for (; at != &ub_no_translation; at = __atomic_load_n(&at->next, __ATOMIC_ACQUIRE))
			if ((at->key & ~UB_KEY_FPU) == start.value && static_cast<const Translation *>(at)->calls == calls)
				return static_cast<const Translation *>(at);
		return nullptr;
	}
	/* For a run's lookups: UB_BUCKETS heads. */
	ub_translation *const *buckets() const { return buckets_; }

	/* Under the space's lock. insert() wants no translation of the same start within the same calls to be there.
	 * remove() unlinks that (or returns null), remove_from() all made from
	 * [begin, end) and remove_of() all of a site, chained by retired_next. */
	void insert(Translation &translation);
	Translation *remove(UserAddr start, uint32_t calls = kNoCalls);
	Translation *remove_from(UserAddr begin, UserAddr end);
	Translation *remove_of(const profiler::Site &site);
	uint32_t size() const { return size_; }

private:
	Translation *unlink(ub_translation **link);
	template <typename Which>
	Translation *remove_all(Which which);

	ub_translation *buckets_[UB_BUCKETS];
	Footprint footprint_;
	uint32_t size_ = 0;
};

} // namespace ub::runtime
