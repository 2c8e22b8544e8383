/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A space: what ub knows of one guest address space. Made when the first enabled
 * thread of an mm appears, shared by its threads, gone with the last of them.
 */
#pragma once

#include "core.h"
#include "kernel/services.h"
#include "profiler/site.h"
#include "runtime/cache.h"
#include "runtime/journal.h"

struct ub_space {
	struct ubk_mm *mm = nullptr;		/* the glue's half; outlives the space */
	struct ubk_lock lock;			/* sites, cache, journal, stat: all changes */
	ub::profiler::Sites sites;
	ub::runtime::Cache cache;
	ub::runtime::Journal journal;
	struct ub_space_stat stat{};
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
