/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the translator's cases share: a guest of a few bytes, translated as a whole, and
 * what can be asked of the result. Nothing is executed; tests/host runs images.
 */
#pragma once

#include "cases.h"
#include "kernel/services.h"
#include "translator/translate.h"

namespace ub::testing {

inline constexpr UserAddr kGuest{0x7f0000001000};

struct Bytes {
	const char *bytes;
	uint32_t count;

	template <uint32_t n>
	constexpr Bytes(const char (&literal)[n]) : bytes(literal), count(n - 1) {}
	constexpr Bytes(const char *first, uint32_t size) : bytes(first), count(size) {}
};

/* Reserves code space for its life; one translation at a time. */
class Translator {
public:
	explicit Translator(struct ub_case *test) : test_(test), code_(ubk_code_reserve(sfi::kImageMaxBytes))
	{
		contract.leave = KernelAddr(code_ + (1u << 20));
		contract.poll_mask = 0x2000e;
		contract.avx = true;
		contract.avx512 = true;
	}
	~Translator() { ubk_code_release(code_, sfi::kImageMaxBytes); }
	Translator(const Translator &) = delete;
	Translator &operator=(const Translator &) = delete;

	/* Translates from `guest` + `skipped` on, where the code begins at `guest`. */
	Result<translator::Translated> operator()(Bytes code, std::span<const Observation> learned = {},
						  translator::DumpSink *dump = nullptr)
	{
		ub_case_guest(guest.value, code.bytes, code.count);
		Arena arena = scratch_arena(test_, translator::kArenaBytes);
		translator::Request request;
		request.start = guest + skipped;
		request.learned = learned;
		request.stack = stack;
		request.budget = budget;
		request.vectors = vectors;
		return translator::translate(request, {KernelAddr(code_), code_bytes}, contract, arena, dump, &refusal);
	}

	sfi::Contract contract;
	translator::Budget budget;
	std::span<const uint64_t> stack;
	bool vectors = true;
	sfi::Refusal refusal;
	UserAddr guest = kGuest;
	int64_t skipped = 0;
	uint32_t code_bytes = sfi::kImageMaxBytes;

private:
	struct ub_case *test_;
	unsigned long code_;
};

inline uint32_t exits_of(const translator::Translated &t, sfi::ExitReason reason)
{
	uint32_t count = 0;

	for (const sfi::Exit &exit : t.verified.image().exits)
		count += exit.reason == reason;
	return count;
}

inline const sfi::Exit *exit_of(const translator::Translated &t, sfi::ExitReason reason)
{
	for (const sfi::Exit &exit : t.verified.image().exits) {
		if (exit.reason == reason)
			return &exit;
	}
	return nullptr;
}

/* How often does the image hold these bytes in a row? */
inline uint32_t count_of(const translator::Translated &t, Bytes wanted)
{
	const std::span<const uint8_t> image = t.verified.image().bytes;
	uint32_t count = 0;

	for (size_t at = 0; at + wanted.count <= image.size(); at++) {
		uint32_t same = 0;
		while (same < wanted.count && image[at + same] == uint8_t(wanted.bytes[same]))
			same++;
		count += same == wanted.count;
	}
	return count;
}

inline bool holds(const translator::Translated &t, Bytes wanted)
{
	return count_of(t, wanted) != 0;
}

} // namespace ub::testing
