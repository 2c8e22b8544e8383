/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A site's translation: from what is known of the site to an image in the cache. Part of the hall. What guest code
 * changed meanwhile is seen in the journal, and the translation is dropped then.
 */
#include <algorithm>
#include <utility>

#include "hall.h"
#include "runtime/publish.h"

namespace ub {
namespace {

using profiler::Site;
using profiler::Stage;
using runtime::Translation;

/* Makes a finished translation visible. Return: the one it replaced, or null, to be retired. */
Result<Translation *> publish(ub_space &space, Site &site, Translation &translation, uint64_t since)
{
	SpaceLock lock(space);

	if (is_stale(space, translation, since))
		return Fault::kStale;
	if (site.stage == Stage::kDeclined)
		return Fault::kOff;
	if (!space.has_room() && !space.cache.find(site.start))
		return Fault::kTooMany;

	Translation *replaced = unpublish(space, site.start);
	space.cache.insert(translation);
	count_in(space, translation);
	if (site.stage != Stage::kTranslated)
		profiler::begin(site.payoff);
	site.stage = Stage::kTranslated;
	return replaced;
}

/* For explorations from where the translation leaves its gap. */
void keep_calls(ub_space &space, Site &site, std::span<const OpenCall> calls)
{
	auto *memory = static_cast<OpenCall *>(ubk_alloc(calls.size_bytes() + 1));
	if (!memory)
		return;
	std::copy(calls.begin(), calls.end(), memory);
	{
		SpaceLock lock(space);
		std::swap(site.calls, memory);
		site.calls_count = uint32_t(calls.size());
	}
	ubk_free(memory);
}

} // namespace

void count_in(ub_space &space, const Translation &made)
{
	space.stat.code_bytes += made.code_bytes;
	if (is_part(made)) {
		space.stat.explored++;
		return;
	}
	space.stat.translations++;
	space.stat.translated++;
}

void count_out(ub_space &space, const Translation &gone)
{
	space.stat.code_bytes -= gone.code_bytes;
	if (is_part(gone))
		return;
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

Translation *unpublish(ub_space &space, UserAddr start)
{
	Translation *gone = space.cache.remove(start);

	if (gone)
		count_out(space, *gone);
	return gone;
}

Result<Translation *> take_up(const translator::Reservation &code, UserAddr start, const translator::Translated &made,
			      Site &site)
{
	const uint32_t bytes = uint32_t(made.verified.image().bytes.size());

	ubk_code_trim(code.address.value, code.bytes, bytes);
	auto translation = runtime::make_translation(start, made.verified, made.sources, site);
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
	request.learned = site.observations();
	request.ways = site.ways();
	request.stack = site.stack_at_start();
	request.stack_at_end = site.stack_at_end();
	request.vectors = site.vectors;
	translator::Reservation code{KernelAddr(ubk_code_reserve(sfi::kImageMaxBytes)), sfi::kImageMaxBytes};

	if (!code.address.value)
		return Fault::kNoCodeSpace;
	auto made = translator::translate(request, code, contract, arena);
	if (!made) {
		ubk_trace_translate(site.start.value, 0, 0, key(made.fault()));
		ubk_code_release(code.address.value, code.bytes);
		return made.fault();
	}
	ubk_trace_translate(site.start.value, made->guest_instructions, uint32_t(made->verified.image().bytes.size()), "ok");
	profiler::keep_ways(site, made->ways);
	auto translation = take_up(code, site.start, *made, site);
	if (!translation)
		return translation.fault();
	auto replaced = publish(space, site, **translation, since);
	if (!replaced) {
		runtime::retire(*translation);
		return replaced.fault();
	}
	runtime::retire(*replaced);
	keep_calls(space, site, made->calls);
	return *translation;
}

} // namespace ub
