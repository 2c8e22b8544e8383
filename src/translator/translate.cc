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

/* Of kArenaBytes; the rest is the verifier's. */
constexpr size_t kAttemptBytes = size_t(7) << 20;

/* Larger images would not fit what is left for the verifier: about 56 bytes a byte. */
constexpr uint32_t kMaxBytes = 128 << 10;
static_assert(kArenaBytes - kAttemptBytes >= 56 * size_t(kMaxBytes));

/* Attempts stop shrinking here. */
constexpr uint32_t kFewInstructions = 64;

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
	const uint32_t room = std::min(code.bytes, kMaxBytes);
	const Emission emission = TRY(emit(region, plan, code.address, room, contract, arena));

	if (sink)
		dump(region, plan, emission, *sink);

	sfi::Image image = emission.image;
	if (ubk_code_write(code.address.value, image.bytes.data(), image.bytes.size()))
		return Fault::kNoCodeSpace;
	image.bytes = {reinterpret_cast<const uint8_t *>(code.address.value), image.bytes.size()};
	const sfi::VerifiedImage verified = TRY(sfi::verify(image, contract, verify_arena, refusal));
	return Translated{verified, region.sources, region.ways, discovered};
}

} // namespace

Result<Translated> translate(const Request &request, const Reservation &code, const sfi::Contract &contract,
			     Arena &arena, DumpSink *dump, sfi::Refusal *refusal)
{
	uint8_t *memory = arena.raw<uint8_t>(kAttemptBytes);
	uint32_t instructions = request.budget.instructions;

	if (!memory)
		return Fault::kNoMemory;
	for (;;) {
		Arena stages(memory, kAttemptBytes);
		const Result<Translated> result =
			attempt(request, instructions, code, contract, stages, arena, dump, refusal);
		if (result || result.fault() != Fault::kTooBig || instructions <= kFewInstructions)
			return result;
		instructions /= 2;
	}
}

} // namespace ub::translator
