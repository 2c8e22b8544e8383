/* SPDX-License-Identifier: GPL-2.0 */
/* Parts of a gap, translated as it is gone through: see explore.h. */
#include "explore.h"

#include <algorithm>

#include "runtime/publish.h"

namespace ub {
namespace {

using profiler::Site;
using runtime::Translation;

/* How many return addresses were put to @open, outermost first; none where the calls are not known, or too many. */
uint32_t unfold(const profiler::OpenCalls &all, uint32_t calls, std::span<UserAddr> open)
{
	uint32_t count = 0;

	for (; calls != kNoCalls; count++) {
		const OpenCall *innermost = all.find(calls);
		if (!innermost || count == open.size())
			return 0;
		open[count] = innermost->return_address;
		calls = innermost->outside;
	}
	std::reverse(open.begin(), open.begin() + count);
	return count;
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

/* @calls: open where it begins, as observations have them. @open: these, if they are known. @followed: by it, in
 * the arena. */
Result<Translation *> Exploration::translate_part(UserAddr start, uint64_t sp, uint32_t calls, std::span<const UserAddr> open,
						  Arena &arena, std::span<const OpenCall> &followed)
{
	translator::Request request;

	request.mm = space_.mm;
	request.start = start;
	request.open = open;
	request.calls = calls;
	request.learned = site_.observations();
	request.stack = {state().stack, ubk_own_peek(sp, state().stack, sizeof(state().stack)) / sizeof(state().stack[0])};
	request.budget.instructions = translator::kPartInstructions;
	request.budget.unlikely = 0;
	translator::Reservation code;
	auto made = translate_into(code, request, contract_, arena);
	if (!made)
		return made.fault();
	followed = made->calls;
	return take_up(code, request, *made, site_);
}

/* Into the cache, in the place of one that knew less. False: it cannot be, and is gone. */
bool Exploration::add(Translation &part, std::span<const OpenCall> calls, uint64_t since)
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
			if (site_.calls)
				site_.calls->add(calls);
		}
	}
	runtime::retire(unused);
	return unused != &part;
}

/* @calls: open there, as observations have them */
bool Exploration::make_part(UserAddr start, uint64_t sp, uint32_t calls)
{
	Arena arena(&state() + 1, attempt_.size() - sizeof(State));
	std::span<const OpenCall> followed;
	uint32_t open = 0;
	uint64_t since;
	{
		SpaceLock lock(space_);
		since = space_.journal.now();
		if (site_.calls)
			open = unfold(*site_.calls, calls, state().open);
	}
	const auto part = translate_part(start, sp, calls, {state().open, open}, arena, followed);
	return part && add(**part, followed, since);
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
		there = make_part(start, regs.sp, left.missed.calls);
		spent_ns_ += ubk_now_ns() - now_ns;
	}
	/* Others have their turn now, and not at the part's first poll. */
	return there && ubk_may_enter(&regs);
}

} // namespace ub
