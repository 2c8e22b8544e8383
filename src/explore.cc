/* SPDX-License-Identifier: GPL-2.0 */
/* Parts of a gap, translated as it is gone through: see explore.h. */
#include "explore.h"

#include <algorithm>
#include <new>

#include "runtime/publish.h"

namespace ub {
namespace {

using profiler::Site;
using runtime::Translation;

/* Parts of a site in its life. Where that is not enough its gaps have more to teach than its region has room for. */
constexpr uint32_t kMostOfSite = 512;

/* What explorations may take of a space's time: so much at once, and this share of what has passed since. */
constexpr uint64_t kBurstNs = 50000000;
constexpr uint64_t kShare = 32;

bool may_begin(const ub_space &space, const Site &site, uint64_t now_ns)
{
	if (site.exploring || site.explored >= kMostOfSite)
		return false;
	/* Nothing is kept from being slower where coverage is measured. */
	return !ub_settings.put_back || space.explored_ns <= kBurstNs + (now_ns - space.since_ns) / kShare;
}

/* The entry of a chain of calls, by its hash. */
const OpenCall *find(std::span<const OpenCall> all, uint32_t calls)
{
	const auto *entry = std::find_if(all.begin(), all.end(), [=](const OpenCall &call) { return call.calls == calls; }).base();

	return entry == all.data() + all.size() ? nullptr : entry;
}

/* How many return addresses were put to @open, outermost first. -1: the calls are not known, or too many. */
int unfold(std::span<const OpenCall> all, uint32_t calls, std::span<UserAddr> open)
{
	size_t count = 0;

	for (; calls != kNoCalls; count++) {
		const OpenCall *innermost = find(all, calls);
		if (!innermost || count == open.size())
			return -1;
		open[count] = innermost->return_address;
		calls = innermost->outside;
	}
	std::reverse(open.begin(), open.begin() + count);
	return int(count);
}

} // namespace

Exploration::Exploration(ub_space &space, Site &site, const sfi::Contract &contract)
	: space_(space), site_(site), contract_(contract)
{
	if (!attempt_)
		return;
	SpaceLock lock(space_);
	const uint64_t now_ns = ubk_now_ns();
	begun_ = may_begin(space_, site_, now_ns);
	site_.exploring |= begun_;
	until_ns_ = now_ns + ub_settings.chain_max_us * uint64_t(1000);
}

Exploration::~Exploration()
{
	if (!begun_)
		return;
	const State &state = *static_cast<State *>(attempt_.memory());
	Translation *all = nullptr;
	{
		SpaceLock lock(space_);
		for (uint32_t i = 0; i < parts_; i++) {
			const Translation *there = space_.cache.find(state.at[i]);
			if (!there || !may_replace(*there))
				continue;
			Translation *part = unpublish(space_, state.at[i]);
			part->retired_next = all;
			all = part;
		}
		space_.stat.translate_usec += spent_ns_ / 1000;
		space_.explored_ns += spent_ns_;
		site_.exploring = false;
		if (site_.pending)
			want(space_, site_, ubk_now_ns());
	}
	runtime::retire(all);
}

/* Whether the calls that are open where the gap was left are known: to the last part, or to the
 * site's translation. */
bool Exploration::find_open(uint32_t calls)
{
	State &state = *static_cast<State *>(attempt_.memory());
	int count = unfold(calls_, calls, state.open);

	if (count < 0) {
		SpaceLock lock(space_);
		count = unfold({site_.calls, site_.calls_count}, calls, state.open);
	}
	open_count_ = uint32_t(count);
	return count >= 0;
}

Result<Translation *> Exploration::translate_part(UserAddr start, uint64_t sp)
{
	auto *state = static_cast<State *>(attempt_.memory());
	Arena arena(state + 1, attempt_.size() - sizeof(State));
	translator::Request request;

	request.mm = space_.mm;
	request.start = start;
	request.open = {state->open, open_count_};
	request.learned = site_.observations();
	request.stack = {state->stack, ubk_own_peek(sp, state->stack, sizeof(state->stack)) / sizeof(state->stack[0])};
	request.stack_at_end = site_.stack_at_end();
	request.budget.instructions = translator::kPartInstructions;
	translator::Reservation code{KernelAddr(ubk_code_reserve(sfi::kImageMaxBytes)), sfi::kImageMaxBytes};

	calls_ = {};
	if (!code.address.value)
		return Fault::kNoCodeSpace;
	auto made = translator::translate(request, code, contract_, arena);
	if (!made) {
		ubk_code_release(code.address.value, code.bytes);
		return made.fault();
	}
	calls_ = made->calls;
	return take_up(code, start, *made, site_);
}

/* A part of this exploration, made for other calls. A gap may begin there as well, and is left alone. */
bool Exploration::may_replace(const Translation &there) const
{
	return there.site == &site_ && is_part(there);
}

/* Into the cache. False: it cannot be, and is gone. */
bool Exploration::add(Translation &part, uint64_t since)
{
	State &state = *static_cast<State *>(attempt_.memory());
	Translation *unused = &part;
	{
		SpaceLock lock(space_);
		const Translation *there = space_.cache.find(part.start());
		const bool room = there ? may_replace(*there) : space_.has_room();

		if (room && !is_stale(space_, part, since) && site_.stage == profiler::Stage::kTranslated) {
			unused = unpublish(space_, part.start());
			space_.cache.insert(part);
			count_in(space_, part);
			site_.explored++;
			state.at[parts_++] = part.start();
		}
	}
	runtime::retire(unused);
	return unused != &part;
}

bool Exploration::go_on(const runtime::Chain &left, ub_regs &regs)
{
	const UserAddr start(regs.ip);
	const uint64_t now_ns = ubk_now_ns();
	uint64_t since;

	if (!begun_ || parts_ == kMostParts || now_ns >= until_ns_)
		return false;
	{
		SpaceLock lock(space_);
		since = space_.journal.now();
		const Translation *there = space_.cache.find(start);
		if (there && !may_replace(*there))
			return false;
	}
	if (!find_open(left.missed.calls))
		return false;
	const auto part = translate_part(start, regs.sp);
	const bool added = part && add(**part, since);
	spent_ns_ += ubk_now_ns() - now_ns;
	/* Others have their turn now, and not at the part's first poll. */
	return added && ubk_may_enter(&regs);
}

} // namespace ub
