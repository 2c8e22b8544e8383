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
#include "profiler/site.h"
#include "runtime/cache.h"
#include "runtime/journal.h"

namespace ub {

constexpr uint32_t kMaxTranslations = 1024;
constexpr uint32_t kMaxCodeBytes = 4 << 20;	/* a quarter of the arena, and a last translation */
constexpr uint32_t kMaxLearning = 128;

} // namespace ub

struct ub_space {
	struct ubk_mm *mm = nullptr;		/* the glue's half; outlives the space */
	struct ubk_lock lock;			/* sites, cache, journal, stat: all changes */
	ub::profiler::Sites sites;
	ub::runtime::Cache cache;
	ub::runtime::Journal journal;
	struct ub_space_stat stat{};
	uint32_t learning = 0;			/* sites with memory for what was missed */
	uint64_t since_ns = 0;			/* when it was made */
	uint64_t explored_ns = 0;		/* what its threads spent on explorations */

	/* For one more translation. */
	bool has_room() const { return stat.translations < ub::kMaxTranslations && stat.code_bytes < ub::kMaxCodeBytes; }
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
