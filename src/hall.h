/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the hall (bypass.cc, explore.cc, site_translation.cc, space.cc) share. */
#pragma once

#include "base/arena.h"
#include "base/result.h"
#include "sfi/contract.h"
#include "space.h"
#include "translator/translate.h"

namespace ub {

/* Asks for a translation of a site, if it may have one now. Under the space's lock. */
void want(ub_space &space, profiler::Site &site, uint64_t now_ns);

/* A hot site that gets no translation now, or has lost it, may become hot again. Under the space's lock. */
inline void watch_again(profiler::Site &site)
{
	site.stage = profiler::Stage::kWatched;
	site.short_gaps = 0;
}

/* Whether anything may be translated now. Under the space's lock. */
bool may_learn(ub_space &space, uint64_t now_ns);

/* A site's translation has left the cache. Under the space's lock. */
void count_out(ub_space &space, const runtime::Translation &gone);

/* A list of just unlinked parts has left the cache. Under the space's lock. Return: the list. */
runtime::Translation *count_out_parts(ub_space &space, runtime::Translation *gone);

/* Whether guest code that it was made from has changed since the journal's `since`. Under the space's lock. */
bool is_stale(const ub_space &space, const runtime::Translation &made, uint64_t since);

/* Takes a site's translation from the cache. Under the space's lock. Return: what is to be retired, or null. */
runtime::Translation *unpublish(ub_space &space, const profiler::Site &site);

/* The same of the parts that were made for it. */
runtime::Translation *unpublish_parts(ub_space &space, const profiler::Site &site);

/* A list of what is to be retired, with one more, if there is one. */
inline runtime::Translation *linked(runtime::Translation *one, runtime::Translation *rest)
{
	if (!one)
		return rest;
	one->retired_next = rest;
	return one;
}

/* What a site has learned, as it is now, in the arena. */
std::span<const Observation> learned_of(ub_space &space, const profiler::Site &site, Arena &arena);

/* Reserves @code and translates into it; nothing stays reserved where that fails. Context: may sleep. */
Result<translator::Translated> translate_into(translator::Reservation &code, const translator::Request &request,
					       const sfi::Contract &contract, Arena &arena);

/* The translation of what was made at code.address, which is no larger than it from now on; without memory, what was
 * made there is gone. Context: may sleep. */
Result<runtime::Translation *> take_up(const translator::Reservation &code, const translator::Request &request,
				       const translator::Translated &made, profiler::Site &site);

/* Translates a site's gap as it is known, and publishes that in place of what is there. @since: of the journal,
 * when the site was last read. Context: as ub_translate(). */
Result<runtime::Translation *> translate_site(ub_space &space, profiler::Site &site, const sfi::Contract &contract,
					      Arena &arena, uint64_t since);

} // namespace ub
