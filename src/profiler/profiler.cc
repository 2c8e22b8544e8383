/* SPDX-License-Identifier: GPL-2.0 */
/* The three sieves of profiler.h. */

#include "base/spread.h"
#include "kernel/services.h"
#include "profiler/profiler.h"

namespace ub::profiler {
namespace {

constexpr uint64_t kNsPerUs = 1000;
constexpr uint64_t kNsPerSecond = 1000000000;

/* Useless samples in a row that double the interval between samples, and how often they do. */
constexpr uint32_t kPatience = 16;
constexpr uint32_t kMostDoublings = 5;

/* After one chain in so many, a power of two, a gap is timed: as shifts of 64 bits. A bit below says which side. */
constexpr uint32_t kTrialTurns = 64 - 2;
constexpr uint32_t kDecidedTurns = 64 - 6;
constexpr uint32_t kSideBit = 40;

/* Spread over 1 … 2·interval − 1, so that a loop of several syscalls does not have the
 * same one sampled each time. */
uint32_t next_sample(uint32_t interval, uint64_t now_ns)
{
	uint32_t random = uint32_t(spread(now_ns ^ now_ns >> 7) >> 33);

	return 1 + random % (2 * interval - 1);
}

/* A thread whose samples were of no use lately is sampled less. */
uint32_t interval(const ub_thread &thread)
{
	uint32_t doublings = thread.dull / kPatience;

	return ub_settings.sample_interval << (doublings < kMostDoublings ? doublings : kMostDoublings);
}

void coarse(ub_thread &thread, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - thread.window_start_ns;

	if (elapsed < ub_settings.coarse_window_us * kNsPerUs)
		return;
	thread.intensive = thread.window_syscalls * kNsPerSecond >= uint64_t(ub_settings.coarse_rate) * elapsed;
	thread.window_start_ns = now_ns;
	thread.window_syscalls = 0;
}

} // namespace

bool sample(ub_thread &thread)
{
	if (thread.until_sample > 1)
		return false;

	uint64_t now_ns = ubk_now_ns();

	thread.window_syscalls += thread.sample_interval;
	thread.sample_interval = interval(thread);
	thread.until_sample = next_sample(thread.sample_interval, now_ns);
	coarse(thread, now_ns);
	return thread.intensive;
}

void gap_begins(ub_thread &thread, UserAddr start)
{
	thread.gap_start_ip = start.value;
	thread.gap_start_ns = ubk_now_ns();
}

void gap_left(ub_thread &thread, UserAddr start, uint64_t from_ns)
{
	thread.gap_start_ip = start.value;
	thread.gap_start_ns = from_ns;
	thread.gap_translated = true;
}

uint64_t gap_ends(ub_thread &thread)
{
	thread.gap_start_ip = 0;
	thread.gap_translated = false;
	return ubk_now_ns() - thread.gap_start_ns;
}

/* Spread, as next_sample() is. */
void draw_turn(ub_thread &thread, const Site &site)
{
	const uint64_t random = spread(thread.count[UB_COUNT_exits]);

	if (random >> (site.payoff.decided ? kDecidedTurns : kTrialTurns))
		return;
	thread.turn_at = site.start.value;
	thread.turn_native = random >> kSideBit & 1;
}

bool native_turn_due(const ub_thread &thread)
{
	return !(spread(thread.count[UB_COUNT_entries]) >> kDecidedTurns);
}

bool of_use(const Site &site)
{
	return site.stage == Stage::kWatched && site.short_gaps >= site.long_gaps;
}

bool may_become_hot(const Site &site)
{
	const uint32_t short_gaps = site.short_gaps + 1u;

	return site.stage == Stage::kWatched && short_gaps >= ub_settings.hot_samples && short_gaps > site.long_gaps;
}

bool judge(Site &site, uint64_t gap_ns)
{
	/* Old samples fade, so that a site that became short is seen. */
	constexpr uint16_t kMost = 256;

	if (site.stage != Stage::kWatched)
		return false;
	if (site.short_gaps + site.long_gaps >= kMost) {
		site.short_gaps /= 2;
		site.long_gaps /= 2;
	}
	if (gap_ns <= ub_settings.short_gap_us * kNsPerUs)
		site.short_gaps++;
	else
		site.long_gaps++;
	if (site.short_gaps < ub_settings.hot_samples || site.short_gaps <= site.long_gaps)
		return false;
	site.stage = Stage::kHot;
	return true;
}

} // namespace ub::profiler
