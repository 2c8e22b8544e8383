/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bypass.cc - the hall: the one place where profiler, translator and runtime meet.
 *
 *   a syscall returned     run the chain; learn from its end; sample what follows
 *   a gap was timed        its site may become hot: ask for a translation
 *   translations are due   translate and publish, or remember why not
 *
 * What ends translations from outside is space.cc's.
 *
 * core.h documents the doors; each is one function below.
 */
#include <algorithm>
#include <new>

#include "explore.h"
#include "kernel/services.h"
#include "profiler/describe.h"
#include "profiler/profiler.h"
#include "runtime/chain.h"
#include "runtime/publish.h"
#include "runtime/run.h"
#include "translator/attempt.h"

struct ub_settings ub_settings = {
#define SETTING(field, value, lowest, highest, description) .field = value,
#include "settings.inc"
#undef SETTING
};

namespace ub {
namespace {

using profiler::Site;
using profiler::Stage;
using runtime::Translation;

/* Translations of one site in its life; the more there were, up to so many, the longer it takes to the
 * next one, in terms of what one takes. */
constexpr uint32_t kMaxRounds = 400;
constexpr uint32_t kMostSpaced = 64;
constexpr uint32_t kLearningRounds = 16;	/* the first ones are not weighed while there is more to learn */
constexpr uint64_t kUnreadableNs = 100000000;	/* after guest code could not be read */

/* Owning the vector registers costs each run: so many, and at least this share of the runs,
 * must have left for want of them. */
constexpr uint32_t kVectorMin = 16;
constexpr uint32_t kVectorShare = 8;

constexpr int kNoMemoryError = 12;		/* ENOMEM */

sfi::Contract g_contract;

/* The site of a gap start, made if need be. Null: no memory, or too many. May sleep. */
Site *site_at(ub_space &space, UserAddr start)
{
	Site *site = space.sites.find(start);
	if (site)
		return site;

	void *memory = ubk_alloc(sizeof(Site));
	if (!memory)
		return nullptr;
	{
		SpaceLock lock(space);
		site = space.sites.find(start);
		if (!site && space.sites.size() < profiler::kMaxSites) {
			site = new (memory) Site;
			memory = nullptr;
			site->start = start;
			space.sites.insert(*site);
		}
	}
	ubk_free(memory);
	return site;
}

/* The gap behind a returned syscall is to be timed. */
void begin_gap(ub_space &space, ub_thread &thread, const ub_regs &regs)
{
	const UserAddr start(regs.ip);
	Site *site = space.sites.find(start);

	if (site) {
		site->syscall = int32_t(regs.orig_ax);
		if (profiler::may_become_hot(*site))
			profiler::keep_stack(*site, regs.sp);
	}
	profiler::gap_begins(thread, start);
}

/* What was translated turned out not to pay: native again, for a while, and nobody goes on in its parts, as they
 * learn no more. Under the space's lock. Return: what is to be retired, or null. */
Translation *put_back(ub_space &space, Site &site)
{
	if (site.stage != Stage::kTranslated || !ub_settings.put_back)
		return nullptr;
	site.stage = Stage::kDeclined;
	profiler::put_back(site.payoff, ubk_now_ns(), site.made_in_ns);
	space.stat.rolled_back++;
	return linked(unpublish(space, site), unpublish_parts(space, site));
}

/* Whether a site on trial is to be translated anew first: it is slow from part to part, and with what it has learned it may
 * not be. Under the space's lock. */
bool still_learns(ub_space &space, const Site &site)
{
	return site.pending && !site.payoff.decided && site.rounds < kLearningRounds && may_learn(space, ubk_now_ns());
}

/* A window of translated gaps was timed: the faster side stays, and with it what there is to learn for it. */
void weigh(ub_space &space, Site &site)
{
	Translation *gone = nullptr;
	{
		SpaceLock lock(space);
		if (still_learns(space, site)) {
			profiler::drop_window(site.payoff);
			site.retry_at_ns = 0;
			want(space, site, ubk_now_ns());
		} else if (profiler::weigh(site.payoff) == profiler::Verdict::kLoses) {
			gone = put_back(space, site);
		} else if (site.pending) {
			want(space, site, ubk_now_ns());
		}
	}
	runtime::retire(gone);
}

/* A run left its gap for want of vector registers. Return: true if they pay. */
bool vectors_pay(Site &site)
{
	site.vector_exits++;
	return !site.vectors && site.vector_exits >= kVectorMin && site.vector_exits >= site.reached / kVectorShare;
}

/* A run left inside its gap: what it missed is learned. */
void learn_from(ub_space &space, const runtime::Chain &chain)
{
	Site &site = *chain.site;
	Observation *memory = nullptr;

	if (chain.missed.from.value && !site.learned && space.learning < kMaxLearning)
		memory = static_cast<Observation *>(ubk_alloc(sizeof(Observation) * profiler::kMaxObservations));

	uint64_t now_ns = ubk_now_ns();
	{
		SpaceLock lock(space);
		if (!site.learned && memory) {
			site.learned = memory;
			memory = nullptr;
			space.learning++;
		}
		if (chain.missed.from.value && site.learned && profiler::learn(site, chain.missed))
			site.pending = true;
		if (chain.reason == sfi::ExitReason::kVector && vectors_pay(site)) {
			site.vectors = site.pending = true;
			site.retry_at_ns = 0;	/* once */
		}
		if (site.pending)
			want(space, site, now_ns);
	}
	ubk_free(memory);
}

/* Runs from regs->ip on, behind a syscall or where the chain has left its gap by a branch that it does not know. Return:
 * whether anything ran; if not, the chain is as it was. */
bool run(ub_space &space, ub_thread &thread, ub_regs &regs, runtime::Reach reach, runtime::Chain &chain)
{
	const bool inside = chain.end == runtime::ChainEnd::kExit;
	const runtime::Chain next = runtime::run_chain(space.caches, thread, regs, reach, inside ? &chain : nullptr);

	if (!next.ran)
		return false;
	chain = next;
	if (chain.end == runtime::ChainEnd::kExit)
		learn_from(space, chain);
	if (chain.weigh)
		weigh(space, *chain.weigh);
	return true;
}

/* Goes through the rest of the gap. */
[[gnu::noinline]] void explore(ub_space &space, ub_thread &thread, ub_regs &regs, runtime::Chain &chain)
{
	const uint64_t until_ns = ubk_now_ns() + ub_settings.chain_max_us * uint64_t(1000);

	/* Some parts on the way may be another site's. */
	while (Exploration::claim(space, *chain.site)) {
		Site &site = *chain.site;
		Exploration exploration(space, site, g_contract, until_ns);

		while (chain.site == &site) {
			if (!exploration.go_on(chain, regs))
				return;
			chain.timing = {};	/* no gap takes as long another time */
			if (!run(space, thread, regs, runtime::Reach::kGap, chain) || !chain.missed.from.value)
				return;
		}
	}
}

/* Runs chains from behind a syscall on. Return: how the last one ended. */
runtime::Chain run_chains(ub_space &space, ub_thread &thread, ub_regs &regs)
{
	runtime::Chain chain;
	run(space, thread, regs, runtime::Reach::kChain, chain);

	/* There may be a part that a chain cannot go on with: it wants vector registers. */
	if (chain.missed.from.value && space.caches.parts.may_have(UserAddr(regs.ip)))
		run(space, thread, regs, runtime::Reach::kChain, chain);
	if (chain.missed.from.value)
		explore(space, thread, regs, chain);
	return chain;
}

/* Whether the gap that begins now is to run natively, and timed. */
bool take_native_turn(ub_thread &thread, const ub_regs &regs)
{
	if (!thread.native_turn && !(thread.turn_native && thread.turn_at == regs.ip))
		return false;
	thread.native_turn = false;
	thread.turn_at = 0;
	return true;
}

/* User mode is returned to inside a gap. */
void leave_inside(ub_thread &thread, const ub_regs &regs, const runtime::Chain &chain)
{
	thread.count[UB_COUNT_exits]++;
	thread.count[UB_COUNT_exit_syscall + unsigned(chain.reason)]++;
	chain.site->exits[unsigned(chain.reason)]++;
	ubk_trace_exit(regs.ip, unsigned(chain.reason));
	profiler::draw_turn(thread, *chain.site);
	if (chain.timing.site && chain.reason != sfi::ExitReason::kPoll)
		profiler::gap_left(thread, chain.timing.site->start, chain.timing.from_ns);
}

Result<Translation *> translate_in(void *memory, size_t bytes, ub_space &space, Site &site, uint64_t since)
{
	Arena arena(memory, bytes);

	return translate_site(space, site, g_contract, arena, since);
}

/* In memory that is too much to be kept. */
Result<Translation *> translate_wide(ub_space &space, Site &site, uint64_t since)
{
	void *memory = ubk_alloc(translator::kWideArenaBytes);

	if (!memory)
		return Fault::kNoMemory;
	auto done = translate_in(memory, translator::kWideArenaBytes, space, site, since);
	ubk_free(memory);
	return done;
}

/* Why a site has no translation: whether to try again. Under the space's lock. */
void failed(ub_space &space, Site &site, Fault fault)
{
	switch (fault) {
	case Fault::kNothingGained:
	case Fault::kTooBig:
		site.stage = Stage::kDeclined;
		return;
	case Fault::kGuestMemory:
		/* Somebody has the file open for writing, or a page is not there: for now. */
		site.retry_at_ns = ubk_now_ns() + kUnreadableNs;
		if (site.stage == Stage::kHot)
			watch_again(site);
		return;
	case Fault::kRejected:
		space.stat.rejected++;
		site.stage = Stage::kDeclined;
		return;
	case Fault::kStale:
		want(space, site, ubk_now_ns());
		return;
	case Fault::kNoCodeSpace:
	case Fault::kTooMany:
		ubk_request_trim();
		[[fallthrough]];
	case Fault::kNoMemory:
	case Fault::kDuplicate:
	case Fault::kOff:
		if (site.stage == Stage::kHot)
			watch_again(site);
		return;
	}
}

} // namespace

bool may_learn(ub_space &space, uint64_t now_ns)
{
	/* Nothing is kept from being slower where coverage is measured. */
	return !ub_settings.put_back || space.allowance.is_left(now_ns);
}

void want(ub_space &space, Site &site, uint64_t now_ns)
{
	if (site.stage == Stage::kDeclined || site.rounds >= kMaxRounds || site.exploring)
		return;
	if (now_ns < site.retry_at_ns || !may_learn(space, now_ns)) {
		if (site.stage == Stage::kHot)
			watch_again(site);
		return;
	}
	site.wanted = true;
	ubk_request_translation(space.mm);
}

} // namespace ub

using namespace ub;

extern "C" int ub_core_init(const ub_machine *machine)
{
	runtime::set_machine(*machine);
	g_contract.leave = KernelAddr(uintptr_t(ub_leave));
	g_contract.poll_mask = machine->poll_mask;
	g_contract.mask_bit = machine->mask_bit;
	g_contract.locked_accesses = machine->locked_accesses;
	g_contract.avx = machine->avx;
	g_contract.avx512 = machine->avx512;
	if (!translator::Attempt::keep_one())
		return -kNoMemoryError;
	if (translator::PartAttempt::keep_one())
		return 0;
	translator::Attempt::drop_kept();
	return -kNoMemoryError;
}

extern "C" void ub_core_exit(void)
{
	translator::PartAttempt::drop_kept();
	translator::Attempt::drop_kept();
}

extern "C" void ub_thread_join(ub_thread *thread, ub_space *space)
{
	thread->space = space;
	thread->buckets = space ? space->caches.gaps.buckets() : nullptr;
}

extern "C" void ub_before_syscall(ub_thread *thread)
{
	ub_space &space = *thread->space;
	UserAddr start(thread->gap_start_ip);
	const bool translated = thread->gap_translated;
	uint64_t gap_ns = profiler::gap_ends(*thread);
	Site *site = site_at(space, start);

	if (!site)
		return;
	if (translated) {
		if (profiler::translated_gap(site->payoff, gap_ns))
			weigh(space, *site);
		return;
	}
	SpaceLock lock(space);
	uint64_t now_ns = thread->gap_start_ns + gap_ns;

	site->samples++;
	profiler::native_gap(site->payoff, gap_ns);
	if (site->stage == Stage::kDeclined && site->payoff.may_retry(now_ns))
		watch_again(*site);
	if (site->stage != Stage::kTranslated)
		thread->dull = profiler::of_use(*site) && may_learn(space, now_ns) ? 0 : thread->dull + 1;
	if (profiler::judge(*site, gap_ns)) {
		ubk_trace_site_hot(start.value, gap_ns);
		want(space, *site, now_ns);
	}
}

extern "C" void ub_after_syscall(ub_thread *thread, ub_regs *regs)
{
	ub_space &space = *thread->space;

	if (take_native_turn(*thread, *regs)) {
		begin_gap(space, *thread, *regs);
		return;
	}
	if (space.caches.gaps.may_have(UserAddr(regs->ip)) && ubk_may_enter(regs)) {
		const runtime::Chain chain = run_chains(space, *thread, *regs);

		thread->native_turn = chain.bounded || profiler::native_turn_due(*thread);
		if (chain.bounded)
			thread->turn_at = 0;	/* that site is not among these */
		if (chain.end == runtime::ChainEnd::kExit)
			leave_inside(*thread, *regs, chain);
		if (chain.end != runtime::ChainEnd::kGap && chain.end != runtime::ChainEnd::kCall)
			return;
	}
	if (take_native_turn(*thread, *regs) || profiler::sample(*thread))
		begin_gap(space, *thread, *regs);
}

extern "C" void ub_translate(ub_space *space)
{
	translator::Attempt attempt;
	if (!attempt)
		return;
	for (;;) {
		Site *site;
		uint64_t since;
		{
			SpaceLock lock(*space);
			site = space->sites.take_wanted();
			since = space->journal.now();
			if (site && may_learn(*space, ubk_now_ns())) {
				site->making = true;
				site->pending = false;
			} else if (site) {
				if (site->stage == Stage::kHot)
					watch_again(*site);
				continue;
			}
		}
		if (!site)
			return;

		uint64_t begin_ns = ubk_now_ns();
		auto done = site->wide ? translate_wide(*space, *site, since)
				       : translate_in(attempt.memory(), translator::kArenaBytes, *space, *site, since);

		SpaceLock lock(*space);
		uint64_t end_ns = ubk_now_ns();
		site->making = false;
		site->reached = site->vector_exits = 0;
		space->stat.translate_usec += (end_ns - begin_ns) / 1000;
		site->made_in_ns = end_ns - begin_ns;
		space->allowance.spend(site->made_in_ns);
		site->rounds++;
		site->retry_at_ns = end_ns + site->made_in_ns * std::min(site->rounds, kMostSpaced);
		if (!done)
			failed(*space, *site, done.fault());
	}
}
