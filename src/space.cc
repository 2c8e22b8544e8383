/* SPDX-License-Identifier: GPL-2.0 */
/*
 * space.cc - a space's beginning and end, and what takes translations away: guest memory
 * that changes, and memory that is wanted elsewhere. See space.h and core.h.
 */
#include <new>
#include <utility>

#include "hall.h"
#include "profiler/describe.h"
#include "runtime/publish.h"

namespace ub {

using profiler::Site;
using profiler::Stage;
using runtime::Translation;

namespace {

/* Grows while a site is of any use. */
uint64_t uses(const Site &site)
{
	uint64_t sum = site.chained + site.samples + site.rounds;

	for (uint64_t exits : site.exits)
		sum += exits;
	return sum;
}

/* Takes from a site that was not used since the last time what it has, its place apart. Return: whether
 * there was anything. */
bool trim(ub_space &space, Site &site)
{
	Translation *gone = nullptr, *parts = nullptr;
	Observation *learned = nullptr;
	{
		SpaceLock lock(space);
		const uint64_t now = uses(site);
		if (site.uses_at_trim != now || site.exploring) {
			site.uses_at_trim = now;
			return false;
		}
		std::swap(site.learned, learned);
		site.learned_count = 0;
		space.learning -= learned != nullptr;
		parts = unpublish_parts(space, site);
		gone = unpublish(space, site);
		if (gone)
			watch_again(site);
	}
	ubk_free(learned);
	return runtime::retire(parts) + runtime::retire(gone) || learned;
}

} // namespace
} // namespace ub

using namespace ub;

extern "C" ub_space *ub_space_create(ubk_mm *mm)
{
	void *memory = ubk_alloc(sizeof(ub_space));
	if (!memory)
		return nullptr;

	auto *space = new (memory) ub_space;
	space->mm = mm;
	space->allowance.begin(ubk_now_ns());
	ubk_lock_init(&space->lock);
	return space;
}

extern "C" void ub_space_destroy(ub_space *space)
{
	ub_space_invalidate(space, 0, ~0ul);
	while (Site *site = space->sites.remove_any()) {
		ubk_free(site->learned);
		ubk_free(site->stack);
		ubk_free(site);
	}
	ubk_free(space);
}

extern "C" unsigned int ub_space_invalidate(ub_space *space, unsigned long start, unsigned long end)
{
	Translation *gone, *parts;
	{
		SpaceLock lock(*space);
		space->journal.record(UserAddr(start), UserAddr(end));
		gone = space->caches.gaps.remove_from(UserAddr(start), UserAddr(end));
		for (Translation *each = gone; each; each = each->retired_next) {
			count_out(*space, *each);
			/* Mapped again, it may become hot again. */
			watch_again(*each->site);
			each->site->learned_count = 0;
		}
		parts = count_out_parts(*space, space->caches.parts.remove_from(UserAddr(start), UserAddr(end)));
		for (Translation *each = parts; each; each = each->retired_next)
			each->site->learned_count = 0;
	}
	return runtime::retire(gone) + runtime::retire(parts);
}

extern "C" unsigned int ub_space_trim(ub_space *space)
{
	unsigned int count = 0;

	space->sites.for_each([&](Site &site) { count += trim(*space, site); });
	return count;
}

extern "C" void ub_space_stat(const ub_space *space, struct ub_space_stat *stat)
{
	*stat = space->stat;
	stat->sites = space->sites.size();
}

extern "C" unsigned int ub_space_sites(const ub_space *space, ub_site *sites)
{
	unsigned count = 0;

	space->sites.for_each([&](const Site &site) {
		if (count < UB_SITES_MAX)
			sites[count++] = profiler::describe(site);
	});
	return count;
}
