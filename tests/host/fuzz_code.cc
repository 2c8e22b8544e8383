// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target: any bytes as guest code. The input is
 *
 *	1  where the gap begins
 *	1  the contract's bits; no vectors; little memory; a budget and a room of its own
 *	1  how many branches were learned, how many words were on the stack
 *	4  the budget · 1 the room's pages · 1 the memory
 *	   the learned: from, to, 16 bits each · the stack's words: 16 bits each
 *	   the rest is code
 *
 * The places are offsets into the code; a few large ones stand for wild addresses. A finding:
 * the verifier refuses, a budget or the room is exceeded, sources are not of the code, it takes
 * seconds. Memory is ASan's to watch.
 */
#include <cstring>

#include "fuzz.h"
#include "host.h"
#include "image_sample.h"
#include "instance.h"
#include "translator/translate.h"

namespace host {
namespace {

constexpr uint64_t kGuestBase = 0x7a0012340000;
constexpr size_t kHeadBytes = 9, kMostCode = 4096;
constexpr uint32_t kRoom = ub::sfi::kImageMaxBytes;

enum : unsigned int { kContractBits = 15, kNoVectors = 16, kLittleMemory = 32, kOwnBudget = 64, kLittleRoom = 128 };

uint64_t place(uint64_t at)
{
	static constexpr uint64_t kWild[] = {0, 1, 0x7fffffffffff, 0x800000000000, ~0ull, 0xffffffff81000000, 1ull << 63, 0x1000};
	return at >= 0xfff8 ? kWild[at & 7] : kGuestBase + at;
}

class CodeTarget : public FuzzTarget {
public:
	CodeTarget() : code_(ubk_code_reserve(kRoom)) {}

	std::string run(std::span<const uint8_t> input) override
	{
		FuzzReader reader(input);
		const uint64_t start = reader.take(1), bits = reader.take(1), counts = reader.take(1);
		uint64_t own[6];
		for (uint64_t &value : own)
			value = reader.take(1);
		std::vector<ub::Observation> learned(counts & 15);
		std::vector<uint64_t> stack(counts >> 4);
		for (ub::Observation &branch : learned) {
			branch.from = ub::UserAddr(place(reader.take(2)));
			branch.to = ub::UserAddr(place(reader.take(2)));
		}
		for (uint64_t &word : stack)
			word = place(reader.take(2));
		const auto code = reader.rest().first(std::min(reader.rest().size(), kMostCode));

		ub::translator::Request request;
		request.start = ub::UserAddr(kGuestBase + start);
		request.learned = learned;
		request.stack = stack;
		request.vectors = !(bits & kNoVectors);
		if (bits & kOwnBudget)
			request.budget = {uint32_t(own[0] * 4), uint32_t(own[1]), uint32_t(own[2] & 31), uint32_t(own[3] & 15)};
		const uint32_t room = bits & kLittleRoom ? uint32_t(4096 * (1 + own[4] % 16)) : kRoom;
		/* A heap block of its own: ASan sees the byte behind it. */
		const size_t memory = ub::translator::kArenaBytes >> (bits & kLittleMemory ? own[5] & 3 : 0);
		if (memory != memory_bytes_) {
			memory_.reset(new char[memory]);
			memory_bytes_ = memory;
		}
		ub::Arena arena(memory_.get(), memory);
		ub::sfi::Refusal refusal;

		add_guest_code(kGuestBase, code.data(), code.size());
		const double before = fuzz_seconds();
		auto result = ub::translator::translate(request, {ub::KernelAddr(code_), room}, fuzz_contract(bits & kContractBits),
							arena, nullptr, &refusal);
		const double took = fuzz_seconds() - before;
		remove_guest_code(kGuestBase);

		if (took > kFuzzSeconds)
			return "translate() took " + std::to_string(took) + " s";
		if (!result)
			return result.fault() != ub::Fault::kRejected
				? std::string()
				: "refused at " + std::to_string(refusal.offset) + ": " + (refusal.why ? refusal.why : "?");
		good++;
		if (result->guest_instructions > request.budget.instructions)
			return "more instructions than the budget has";
		if (result->verified.image().bytes.size() > room)
			return "more bytes than there is room";
		/* They are whole pages. */
		for (const ub::Extent &source : result->sources)
			if (source.start.value < kGuestBase || source.end.value > kGuestBase + kMostCode)
				return "made from what is not the guest's code";
		return {};
	}

	void mutate(Bytes &input, size_t most, Random &random, const ByteMutator &change) override
	{
		if (random.chance(3) || input.size() < kHeadBytes + 1) {
			change(input, most);
			return;
		}
		/* An instruction that the assembler made, over what is there or between it. */
		const std::span<const Instance> all = instances();
		const Instance &instance = all[random.below(all.size())];
		const size_t at = kHeadBytes + random.below(input.size() - kHeadBytes);
		if (random.chance(2) && input.size() + instance.bytes().size() <= most)
			input.insert(input.begin() + long(at), instance.begin, instance.end);
		else
			memcpy(&input[at], instance.begin, std::min(instance.bytes().size(), input.size() - at));
	}

	std::vector<Bytes> seeds() override
	{
		static constexpr uint8_t kHead[kHeadBytes] = {};
		std::vector<Bytes> seeds;
		const auto add = [&](std::span<const uint8_t> code) {
			Bytes seed(kHead, kHead + kHeadBytes);
			seed.insert(seed.end(), code.begin(), code.end());
			seeds.push_back(std::move(seed));
		};

		for (const GoldenCode &code : golden_code())
			add(code.bytes);
		/* Compiled code: the translator's own. */
		Bytes text(64 << 10);
		text.resize(ubk_guest_read(nullptr, reinterpret_cast<uint64_t>(&ub::translator::translate), text.data(), text.size()));
		for (size_t at = 0; at + 512 <= text.size(); at += 1024)
			add(std::span(text).subspan(at, 512));
		/* Every form, ten in a row. */
		Bytes row;
		size_t count = 0;
		for (const Instance &instance : instances()) {
			row.insert(row.end(), instance.begin, instance.end);
			if (++count % 10)
				continue;
			row.insert(row.end(), {0x0f, 0x05});
			add(row);
			row.clear();
		}
		return seeds;
	}

private:
	uint64_t code_;
	std::unique_ptr<char[]> memory_;
	size_t memory_bytes_ = 0;
};

} // namespace

std::unique_ptr<FuzzTarget> code_target()
{
	return std::make_unique<CodeTarget>();
}

} // namespace host
