/* SPDX-License-Identifier: GPL-2.0 */
/* A site as people look at it. See describe.h. */

#include "profiler/describe.h"

namespace ub::profiler {
namespace {

const char *verdict(const Site &site)
{
	switch (site.stage) {
	case Stage::kWatched:
		return "watched";
	case Stage::kHot:
		return "hot";
	case Stage::kTranslated:
		return site.payoff.decided ? "pays" : "on trial";
	case Stage::kDeclined:
		return site.payoff.retry_at_ns ? "put-back" : "declined";
	}
	return "?";
}

} // namespace

ub_site describe(const Site &site)
{
	ub_site said = {};

	said.start = site.start.value;
	said.syscall = site.syscall;
	said.samples = site.samples;
	said.rounds = site.rounds;
	said.learned = site.learned_count;
	said.explored = site.explored;
	said.chained = site.chained;
	for (unsigned i = 0; i < UB_EXITS; i++)
		said.exits[i] = site.exits[i];
	said.native_ns = median_ns(site.payoff.native_ns);
	said.translated_ns = median_ns(site.payoff.translated_ns);
	said.verdict = verdict(site);
	return said;
}

} // namespace ub::profiler
