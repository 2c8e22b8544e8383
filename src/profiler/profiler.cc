/* SPDX-License-Identifier: GPL-2.0 */
/* The three sieves of profiler.h. */

#include "kernel/services.h"
#include "profiler/profiler.h"

namespace ub::profiler {
namespace {

constexpr uint64_t kNsPerUs = 1000;
constexpr uint64_t kNsPerSecond = 1000000000;

/* Spread over 1 … 2·interval − 1, so that a loop of several syscalls does not have the
 * same one sampled each time. */
uint32_t next_sample(uint64_t now_ns)
{
	uint32_t interval = ub_settings.sample_interval;
	uint32_t random = uint32_t((now_ns ^ now_ns >> 7) * 0x9e3779b97f4a7c15 >> 33);

	return 1 + random % (2 * interval - 1);
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
	if (thread.until_sample > 1) {
		thread.until_sample--;
		return false;
	}

	uint64_t now_ns = ubk_now_ns();

	thread.until_sample = next_sample(now_ns);
	thread.window_syscalls += ub_settings.sample_interval;
	coarse(thread, now_ns);
	return thread.intensive;
}

void gap_begins(ub_thread &thread, UserAddr start)
{
	thread.gap_start_ip = start.value;
	thread.gap_start_ns = ubk_now_ns();
}

uint64_t gap_ends(ub_thread &thread)
{
	thread.gap_start_ip = 0;
	return ubk_now_ns() - thread.gap_start_ns;
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
