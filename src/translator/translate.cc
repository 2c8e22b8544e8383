/* SPDX-License-Identifier: GPL-2.0 */
/*
 * discover → unroll → analyze → sanitize → emit → verify → publish
 *
 * The table of contents. What does not fit the reserved space is tried again with
 * half the guest instructions, so a full budget is never a failure.
 */
#include "translator/translate.h"

#include <algorithm>

#include "kernel/services.h"
#include "translator/analyze.h"
#include "translator/discover.h"
#include "translator/dump.h"
#include "translator/emit.h"
#include "translator/sanitize.h"
#include "translator/unroll.h"

namespace ub::translator {

namespace {

/* The verifier's share of the arena limits an image's size: it takes about so many bytes a byte. */
constexpr size_t kVerifierFactor = 56;
static_assert(kArenaBytes / 2 / kVerifierFactor >= 128 << 10);

/* Attempts stop shrinking here. */
constexpr uint32_t kFewInstructions = 64;

/* The chains of calls that were followed, for later requests that begin within one. */
std::span<const OpenCall> calls_of(const Region &region, Arena &arena)
{
	Table<OpenCall> calls(arena, region.contexts.size());

	for (size_t i = 1; i < region.contexts.size(); i++) {
		const Context &context = region.contexts[i];
		calls.push_back({context.return_address, context.calls, region.contexts[context.parent].calls});
	}
	return calls.span();
}

/* One attempt, up to verification. */
Result<Translated> attempt(const Request &request, uint32_t instructions, const Reservation &code,
			   const sfi::Contract &contract, Arena &arena, Arena &verify_arena, DumpSink *sink,
			   sfi::Refusal *refusal)
{
	Region region = TRY(discover(request, instructions, contract, arena));
	const uint32_t discovered = region.instructions;
	TRY(unroll(region, arena));
	TRY(analyze(region, arena));
	Plan plan = TRY(sanitize(region, arena));
	const uint32_t room = uint32_t(std::min<size_t>(code.bytes, verify_arena.left() / kVerifierFactor));
	const Emission emission = TRY(emit(region, plan, code.address, room, contract, arena));

	if (sink)
		dump(region, plan, emission, *sink);

	sfi::Image image = emission.image;
	if (ubk_code_write(code.address.value, image.bytes.data(), image.bytes.size()))
		return Fault::kNoCodeSpace;
	image.bytes = {reinterpret_cast<const uint8_t *>(code.address.value), image.bytes.size()};
	const sfi::VerifiedImage verified = TRY(sfi::verify(image, contract, verify_arena, refusal));
	return Translated{verified, region.sources, calls_of(region, arena), discovered,
			  discovered < instructions};
}

} // namespace

Result<Translated> translate(const Request &request, const Reservation &code, const sfi::Contract &contract,
			     Arena &arena, DumpSink *dump, sfi::Refusal *refusal)
{
	const size_t share = arena.left() / 2;
	uint8_t *memory = arena.raw<uint8_t>(share);
	uint32_t instructions = request.budget.instructions;

	if (!memory)
		return Fault::kNoMemory;
	for (;;) {
		Arena stages(memory, share);
		const Result<Translated> result =
			attempt(request, instructions, code, contract, stages, arena, dump, refusal);
		if (result || result.fault() != Fault::kTooBig || instructions <= kFewInstructions)
			return result;
		instructions /= 2;
	}
}

} // namespace ub::translator
