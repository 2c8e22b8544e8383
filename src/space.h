/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A space: what ub knows of one guest address space. Made when the first enabled
 * thread of an mm appears, shared by its threads, gone with the last of them.
 *
 * Its memory is bounded, and charged to the cgroup of the thread that made it necessary:
 * so many sites (UB_SITES_MAX), of which so many remember what was missed, and so many
 * translations in so much of the arena. What is not used goes when memory is wanted elsewhere.
 */
#pragma once

#include "core.h"
#include "kernel/services.h"
#include "profiler/allowance.h"
#include "profiler/site.h"
#include "runtime/chain.h"
#include "runtime/journal.h"

namespace ub {

constexpr uint32_t kMaxTranslations = 512;
constexpr uint32_t kMaxParts = 768;
constexpr uint32_t kMaxCodeBytes = 4 << 20;	/* a quarter of the arena, and a last translation */
constexpr uint32_t kMaxLearning = 128;

} // namespace ub

struct ub_space {
	struct ubk_mm *mm = nullptr;		/* the glue's half; outlives the space */
	struct ubk_lock lock;			/* sites, cache, journal, stat: all changes */
	ub::profiler::Sites sites;
	ub::runtime::Caches caches;
	ub::runtime::Journal journal;
	struct ub_space_stat stat{};
	ub::profiler::Allowance allowance;	/* for all that is translated */
	uint32_t learning = 0;			/* sites with memory for what was missed */

	/* For one translation more, and for a part of one: where there are many parts, the rest is for sites. */
	bool has_room() const { return stat.translations < ub::kMaxTranslations && stat.code_bytes < ub::kMaxCodeBytes; }
	bool has_room_for_part() const
	{
		return caches.parts.size() < ub::kMaxParts && stat.code_bytes < ub::kMaxCodeBytes / 4 * 3;
	}
};

namespace ub {

class SpaceLock {
public:
	explicit SpaceLock(ub_space &space) : lock_(&space.lock) { ubk_lock(lock_); }
	~SpaceLock() { ubk_unlock(lock_); }
	SpaceLock(const SpaceLock &) = delete;
	SpaceLock &operator=(const SpaceLock &) = delete;

private:
	struct ubk_lock *lock_;
};

} // namespace ub
