/* SPDX-License-Identifier: GPL-2.0 */
/* Cases of src/profiler: which sites become hot, and what they remember. */
#include "cases.h"

#include <new>

#include "profiler/allowance.h"
#include "profiler/payoff.h"
#include "profiler/profiler.h"
#include "profiler/site.h"

namespace {

using ub::Arena;
using ub::Observation;
using ub::UserAddr;
using ub::profiler::Allowance;
using ub::profiler::judge;
using ub::profiler::kMaxObservations;
using ub::profiler::learn;
using ub::profiler::may_become_hot;
using ub::profiler::Payoff;
using ub::profiler::Site;
using ub::profiler::Sites;
using ub::profiler::Stage;
using ub::profiler::Verdict;

uint64_t short_ns()
{
	return ub_settings.short_gap_us * uint64_t(1000);
}

UB_CASE(profiler, short_gaps_make_a_site_hot_once)
{
	Site site;

	for (unsigned i = 1; i < ub_settings.hot_samples; i++)
		CHECK(!judge(site, short_ns()));
	CHECK(judge(site, short_ns()));
	CHECK_EQ(site.stage, Stage::kHot);
	CHECK(!judge(site, short_ns()));
}

UB_CASE(profiler, it_is_known_before_that_a_site_may_become_hot)
{
	Site site;

	for (int i = 0; i < 40; i++)
		judge(site, short_ns() + 1);
	for (bool hot = false; !hot;) {
		const bool expected = may_become_hot(site);
		hot = judge(site, short_ns());
		CHECK_EQ(hot, expected);
	}
	CHECK(!may_become_hot(site));
}

UB_CASE(profiler, long_gaps_never_do)
{
	Site site;

	for (int i = 0; i < 10000; i++)
		CHECK(!judge(site, short_ns() + 1));
	CHECK_EQ(site.stage, Stage::kWatched);
}

UB_CASE(profiler, mostly_long_gaps_do_not)
{
	Site site;

	for (int i = 0; i < 10000; i++)
		CHECK(!judge(site, i % 3 ? short_ns() + 1 : short_ns()));
}

UB_CASE(profiler, a_site_that_became_short_is_seen)
{
	Site site;
	bool hot = false;

	for (int i = 0; i < 10000; i++)
		CHECK(!judge(site, short_ns() + 1));
	for (int i = 0; i < 1000 && !hot; i++)
		hot = judge(site, short_ns());
	CHECK(hot);
}

UB_CASE(profiler, a_declined_site_stays_declined)
{
	Site site;

	site.stage = Stage::kDeclined;
	for (int i = 0; i < 1000; i++)
		CHECK(!judge(site, 0));
}

UB_CASE(profiler, a_slow_thread_is_not_intensive)
{
	ub_thread thread{};

	/* The window's rate is below the threshold when it spans a second or more. */
	thread.window_start_ns = 0;
	thread.until_sample = 1;
	CHECK(!ub::profiler::sample(thread));
	CHECK(thread.until_sample >= 1);
	CHECK(thread.until_sample < 2 * ub_settings.sample_interval);
}

UB_CASE(profiler, a_thread_without_candidates_is_sampled_less)
{
	ub_thread thread{};
	unsigned most = 0;

	for (int i = 0; i < 1000; i++) {
		thread.until_sample = 1;
		ub::profiler::sample(thread);
		CHECK(thread.until_sample < 64 * ub_settings.sample_interval);
		if (thread.until_sample > most)
			most = thread.until_sample;
		thread.dull++;
	}
	CHECK(most > 16 * ub_settings.sample_interval);
	thread.dull = 0;
	thread.until_sample = 1;
	ub::profiler::sample(thread);
	CHECK(thread.until_sample < 2 * ub_settings.sample_interval);
}

UB_CASE(sites, are_found_by_their_start)
{
	Arena arena = ub::testing::scratch_arena(test);
	Sites *sites = arena.make<Sites>();
	Site *all = arena.make<Site>(1000);

	for (uint64_t i = 0; i < 1000; i++) {
		all[i].start = UserAddr(0x400000 + i * 7);
		CHECK(!sites->find(all[i].start));
		sites->insert(all[i]);
	}
	CHECK_EQ(sites->size(), 1000);
	for (uint64_t i = 0; i < 1000; i++)
		CHECK_EQ(sites->find(UserAddr(0x400000 + i * 7)), &all[i]);
	CHECK(!sites->find(UserAddr(0x400001)));
}

UB_CASE(sites, wanted_ones_are_taken_once)
{
	Arena arena = ub::testing::scratch_arena(test);
	Sites *sites = arena.make<Sites>();
	Site *all = arena.make<Site>(100);
	int taken = 0;

	for (uint64_t i = 0; i < 100; i++) {
		all[i].start = UserAddr(0x400000 + i * 64);
		all[i].wanted = i % 2;
		sites->insert(all[i]);
	}
	while (Site *site = sites->take_wanted()) {
		CHECK(!site->wanted);
		CHECK_EQ((site->start.value - 0x400000) / 64 % 2, 1);
		taken++;
	}
	CHECK_EQ(taken, 50);
}

UB_CASE(sites, learn_keeps_each_branch_once)
{
	Arena arena = ub::testing::scratch_arena(test);
	Site site;

	site.learned = arena.make<Observation>(kMaxObservations);
	CHECK(learn(site, {UserAddr(1), UserAddr(2)}));
	CHECK(!learn(site, {UserAddr(1), UserAddr(2)}));
	CHECK(learn(site, {UserAddr(1), UserAddr(3)}));
	CHECK_EQ(site.observations().size(), 2);
	for (uint64_t i = 2; i < kMaxObservations; i++)
		CHECK(learn(site, {UserAddr(i), UserAddr(i)}));
	CHECK(!learn(site, {UserAddr(9), UserAddr(10)}));
	CHECK_EQ(site.observations().size(), kMaxObservations);
}

/* A window of translated gaps, and what it says. */
Verdict window(Payoff &payoff, uint64_t translated_ns)
{
	while (!ub::profiler::translated_gap(payoff, translated_ns))
		;
	return ub::profiler::weigh(payoff);
}

Payoff natively(uint64_t ns)
{
	Payoff payoff;

	for (unsigned i = 0; i < ub::profiler::kSamples; i++)
		ub::profiler::native_gap(payoff, ns);
	return payoff;
}

UB_CASE(payoff, the_faster_side_wins)
{
	Payoff pays = natively(1000), loses = natively(1000);

	CHECK(window(pays, 900) == Verdict::kPays);
	CHECK(window(loses, 1100) == Verdict::kNone);
	CHECK(window(loses, 1100) == Verdict::kLoses);
}

UB_CASE(payoff, a_few_percent_are_alike)
{
	Payoff payoff = natively(3200);

	for (int i = 0; i < 4; i++)
		CHECK(window(payoff, 3300) == Verdict::kPays);
	CHECK(window(payoff, 3301) == Verdict::kNone);
	CHECK(window(payoff, 3301) == Verdict::kLoses);
}

UB_CASE(payoff, one_bad_window_is_not_enough)
{
	Payoff payoff = natively(1000);

	for (int i = 0; i < 10; i++) {
		CHECK(window(payoff, 2000) == Verdict::kNone);
		CHECK(window(payoff, 900) == Verdict::kPays);
	}
}

UB_CASE(payoff, a_few_interrupted_gaps_decide_nothing)
{
	Payoff payoff = natively(1000);

	for (int round = 0; round < 10; round++) {
		for (unsigned i = 0; i < ub::profiler::kSamples; i++)
			ub::profiler::translated_gap(payoff, i < 4 ? 1000000 : 990);
		CHECK(ub::profiler::weigh(payoff) == Verdict::kPays);
	}
}

UB_CASE(payoff, without_native_samples_there_is_no_verdict)
{
	Payoff payoff;

	CHECK(window(payoff, 1) == Verdict::kNone);
	CHECK(!payoff.decided);
}

UB_CASE(payoff, only_samples_since_the_translation_count)
{
	Payoff payoff = natively(1000);

	ub::profiler::begin(payoff);
	CHECK(window(payoff, 2000) == Verdict::kNone);
	CHECK(window(payoff, 2000) == Verdict::kNone);
	for (unsigned i = 0; i < ub::profiler::kSamples; i++)
		ub::profiler::native_gap(payoff, 3000);
	CHECK(window(payoff, 2000) == Verdict::kPays);
}

UB_CASE(payoff, what_lost_is_tried_again_after_ever_longer)
{
	Payoff payoff;
	uint64_t now = 1000000000, before = 0;

	CHECK(!payoff.may_retry(now));
	for (int i = 0; i < 20; i++) {
		ub::profiler::put_back(payoff, now, 0);
		uint64_t wait = payoff.retry_at_ns - now;
		CHECK(i < 9 ? wait > before : wait == before);
		CHECK(!payoff.may_retry(payoff.retry_at_ns - 1));
		CHECK(payoff.may_retry(payoff.retry_at_ns));
		before = wait;
		now = payoff.retry_at_ns;
		ub::profiler::begin(payoff);
		CHECK(!payoff.may_retry(now));
	}
}

/* A chance costs its translation and a trial: little beside the wait for it. */
UB_CASE(payoff, a_dear_chance_comes_late)
{
	constexpr uint64_t kTranslating = 10000000, kNow = 5;
	Payoff cheap = natively(1000), dear = natively(1000);

	window(cheap, 1100);
	window(dear, 1100000);
	ub::profiler::put_back(cheap, kNow, kTranslating);
	ub::profiler::put_back(dear, kNow, kTranslating);
	CHECK(!cheap.may_retry(kNow + 200 * kTranslating));
	CHECK(cheap.may_retry(kNow + 2000 * kTranslating));
	CHECK(!dear.may_retry(kNow + 200 * (kTranslating + 768 * uint64_t(1099000))));
}

UB_CASE(allowance, is_a_small_share_of_time)
{
	constexpr uint64_t kMs = 1000000, kStart = 7;
	Allowance allowance;
	uint64_t spent = 0;

	allowance.begin(kStart);
	for (uint64_t ms = 0; ms < 100000; ms++) {
		while (allowance.is_left(kStart + ms * kMs)) {
			allowance.spend(5 * kMs);
			spent += 5;
		}
		/* By one translation more, at most, and what is lost in rounding. */
		CHECK(spent <= 27 + ms / 8 + ms / 128 && spent <= 177 + ms / 128);
	}
	CHECK(spent >= 150 + 100000 / 128);
}

UB_CASE(allowance, is_not_saved_up)
{
	constexpr uint64_t kSecond = 1000000000;
	Allowance allowance;
	uint64_t spent = 0;

	allowance.begin(0);
	for (; allowance.is_left(3600 * kSecond); spent++)
		allowance.spend(1000000);
	CHECK_EQ(spent, 200);
}

} // namespace
