/* SPDX-License-Identifier: GPL-2.0 */
/* Parts of a gap, translated as it is gone through: see explore.h. */
#include "explore.h"

#include <algorithm>

#include "runtime/publish.h"

namespace ub {
namespace {

using profiler::Site;
using runtime::Translation;

/* How many return addresses were put to @open, outermost first; none if they are too many, or not known. */
uint32_t unfold(std::span<const OpenCall> followed, uint32_t calls, std::span<UserAddr> open)
{
	uint32_t count = 0;

	for (size_t i = followed.size(); i-- > 0 && calls != kNoCalls && count < open.size();) {
		if (followed[i].calls != calls)
			continue;
		open[count++] = followed[i].return_address;
		calls = followed[i].outside;
	}
	if (calls != kNoCalls)
		return 0;
	std::reverse(open.begin(), open.begin() + count);
	return count;
}

/* Of the translation that was left, if it is still there: under the space's lock. */
uint32_t unfold(const runtime::Caches &caches, const runtime::Chain &left, std::span<UserAddr> open)
{
	for (const runtime::Cache *cache : {&caches.gaps, &caches.parts})
		if (const Translation *translation = cache->find(left.start, left.start_calls))
			if (const uint32_t count = unfold(translation->followed, left.missed.calls, open))
				return count;
	return 0;
}

} // namespace

bool Exploration::claim(ub_space &space, Site &site)
{
	Translation *gone = nullptr;
	bool claimed;
	{
		SpaceLock lock(space);

		if (site.exploring || site.stage != profiler::Stage::kTranslated || !may_learn(space, ubk_now_ns()))
			return false;
		/* Those still of use are made anew. */
		if (!space.has_room_for_part())
			gone = count_out_parts(space, space.caches.parts.remove_from(UserAddr(0), UserAddr(~uint64_t(0))));
		claimed = site.exploring = space.has_room_for_part();
	}
	runtime::retire(gone);
	return claimed;
}

Exploration::Exploration(ub_space &space, Site &site, const sfi::Contract &contract, uint64_t until_ns)
	: space_(space), site_(site), contract_(contract), until_ns_(until_ns)
{
}

Exploration::~Exploration()
{
	SpaceLock lock(space_);
	space_.stat.translate_usec += spent_ns_ / 1000;
	space_.allowance.spend(spent_ns_);
	site_.exploring = false;
	if (site_.pending)
		want(space_, site_, ubk_now_ns());
}

/* @open: calls that are open where it begins */
Result<Translation *> Exploration::translate_part(UserAddr start, uint64_t sp, std::span<const UserAddr> open, Arena &arena)
{
	translator::Request request;

	request.mm = space_.mm;
	request.start = start;
	request.open = open;
	request.learned = learned_of(space_, site_, arena);
	request.stack = {state().stack, ubk_own_peek(sp, state().stack, sizeof(state().stack)) / sizeof(state().stack[0])};
	request.budget.instructions = translator::kPartInstructions;
	request.budget.unlikely = 0;
	translator::Reservation code;
	auto made = translate_into(code, request, contract_, arena);
	if (!made)
		return made.fault();
	return take_up(code, request, *made, site_);
}

/* Into the cache, in the place of one that knew less. False: it cannot be, and is gone. */
bool Exploration::add(Translation &part, uint64_t since)
{
	Translation *unused = &part;
	{
		SpaceLock lock(space_);
		runtime::Cache &parts = space_.caches.parts;

		if (space_.has_room_for_part() && !is_stale(space_, part, since) && site_.stage == profiler::Stage::kTranslated) {
			unused = count_out_parts(space_, parts.remove(part.start(), part.calls));
			parts.insert(part);
			space_.stat.code_bytes += part.code_bytes;
			space_.stat.explored++;
			site_.explored++;
		}
	}
	runtime::retire(unused);
	return unused != &part;
}

bool Exploration::make_part(const runtime::Chain &left, const ub_regs &regs)
{
	Arena arena(&state() + 1, attempt_.size() - sizeof(State));
	uint32_t open;
	uint64_t since;
	{
		SpaceLock lock(space_);
		since = space_.journal.now();
		open = unfold(space_.caches, left, state().open);
	}
	/* What is learned where the calls are not known would be wrong elsewhere. */
	if (!open && left.missed.calls != kNoCalls)
		return false;
	const auto part = translate_part(UserAddr(regs.ip), regs.sp, {state().open, open}, arena);
	return part && add(**part, since);
}

bool Exploration::go_on(const runtime::Chain &left, ub_regs &regs)
{
	const UserAddr start(regs.ip);
	const uint64_t now_ns = ubk_now_ns();
	bool there;

	/* What is missed again at once could not be learned. */
	if (!attempt_ || now_ns >= until_ns_ || (left.stuck && left.missed == made_for_))
		return false;
	{
		/* A part that begins with a branch may have been left by it, for a target that it does not know. */
		SpaceLock lock(space_);
		there = !left.stuck && space_.caches.parts.find(start, left.missed.calls);
	}
	if (!there) {
		made_for_ = left.missed;
		there = make_part(left, regs);
		spent_ns_ += ubk_now_ns() - now_ns;
	}
	/* Others have their turn now, and not at the part's first poll. */
	return there && ubk_may_enter(&regs);
}

} // namespace ub
