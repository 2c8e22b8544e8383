/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A site's translation: from what is known of the site to an image in the cache. Part of the hall. What guest code
 * changed meanwhile is seen in the journal, and the translation is dropped then.
 */
#include <algorithm>
#include <new>

#include "hall.h"
#include "runtime/publish.h"

namespace ub {
namespace {

using profiler::Site;
using profiler::Stage;
using runtime::Translation;

/* Makes a finished translation visible. @whole: it has all that was learned, and parts are of no more use.
 * Return: what it replaced, or null, to be retired. */
Result<Translation *> publish(ub_space &space, Site &site, Translation &translation, bool whole, uint64_t since)
{
	SpaceLock lock(space);

	if (is_stale(space, translation, since))
		return Fault::kStale;
	if (site.stage == Stage::kDeclined)
		return Fault::kOff;
	if (!space.has_room() && !space.caches.gaps.find(site.start))
		return Fault::kTooMany;

	Translation *parts = whole ? unpublish_parts(space, site) : nullptr;
	Translation *replaced = linked(unpublish(space, site), parts);
	space.caches.gaps.insert(translation);
	space.stat.code_bytes += translation.code_bytes;
	space.stat.translations++;
	space.stat.translated++;
	if (site.stage != Stage::kTranslated)
		profiler::begin(site.payoff);
	else if (!site.payoff.decided)
		profiler::drop_window(site.payoff);
	site.stage = Stage::kTranslated;
	return replaced;
}

/* The next time there is more room, if that is what was wanted. */
void widen(ub_space &space, Site &site, bool whole)
{
	SpaceLock lock(space);

	if (!whole && !site.wide)
		site.wide = site.pending = true;
}

} // namespace

Translation *count_out_parts(ub_space &space, Translation *gone)
{
	for (const Translation *each = gone; each; each = each->retired_next)
		space.stat.code_bytes -= each->code_bytes;
	return gone;
}

void count_out(ub_space &space, const Translation &gone)
{
	space.stat.code_bytes -= gone.code_bytes;
	space.stat.translations--;
	space.stat.retired++;
}

bool is_stale(const ub_space &space, const Translation &made, uint64_t since)
{
	for (const Extent &source : made.sources)
		if (space.journal.changed(since, source))
			return true;
	return false;
}

Translation *unpublish(ub_space &space, const Site &site)
{
	Translation *gone = space.caches.gaps.remove(site.start);

	if (gone)
		count_out(space, *gone);
	return gone;
}

Translation *unpublish_parts(ub_space &space, const Site &site)
{
	return count_out_parts(space, space.caches.parts.remove_of(site));
}

std::span<const Observation> learned_of(ub_space &space, const Site &site, Arena &arena)
{
	auto *const copy = arena.raw<Observation>(profiler::kMaxObservations);
	if (!copy)
		return {};

	SpaceLock lock(space);
	return {copy, std::copy(site.observations().begin(), site.observations().end(), copy)};
}

Result<translator::Translated> translate_into(translator::Reservation &code, const translator::Request &request,
					       const sfi::Contract &contract, Arena &arena)
{
	code = {KernelAddr(ubk_code_reserve(sfi::kImageMaxBytes)), sfi::kImageMaxBytes};
	if (!code.address.value)
		return Fault::kNoCodeSpace;
	auto made = translator::translate(request, code, contract, arena);
	if (!made)
		ubk_code_release(code.address.value, code.bytes);
	return made;
}

Result<Translation *> take_up(const translator::Reservation &code, const translator::Request &request,
			      const translator::Translated &made, Site &site)
{
	const uint32_t bytes = uint32_t(made.verified.image().bytes.size());

	ubk_code_trim(code.address.value, code.bytes, bytes);
	auto translation = runtime::make_translation(request.start, request.calls(), made.verified, made.sources, made.calls, site);
	if (!translation)
		ubk_code_release(code.address.value, bytes);
	return translation;
}

Result<Translation *> translate_site(ub_space &space, Site &site, const sfi::Contract &contract, Arena &arena,
				     uint64_t since)
{
	if (!space.has_room() && site.stage != Stage::kTranslated)
		return Fault::kTooMany;
	translator::Request request;
	request.mm = space.mm;
	request.start = site.start;
	request.learned = learned_of(space, site, arena);
	request.stack = site.stack_seen();
	request.vectors = site.vectors;
	if (site.wide)
		request.budget.instructions = translator::kWideInstructions;
	translator::Reservation code;
	auto made = translate_into(code, request, contract, arena);
	if (!made) {
		if (code.address.value)
			ubk_trace_translate(site.start.value, 0, 0, key(made.fault()));
		return made.fault();
	}
	ubk_trace_translate(site.start.value, made->guest_instructions, uint32_t(made->verified.image().bytes.size()), "ok");
	auto translation = take_up(code, request, *made, site);
	if (!translation)
		return translation.fault();
	auto replaced = publish(space, site, **translation, made->whole, since);
	if (!replaced) {
		runtime::retire(*translation);
		return replaced.fault();
	}
	runtime::retire(*replaced);
	widen(space, site, made->whole);
	return *translation;
}

} // namespace ub
