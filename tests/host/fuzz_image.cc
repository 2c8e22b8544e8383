// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzz target: any bytes as an image. The input is
 *
 *	1  the contract's bits
 *	2  how many exits · 1 one of them that is odd · 1 how
 *	2  how many fault entries
 *	   the entries: instruction and stub, 16 bits each; 0xfff0 and above are far away
 *	   the rest are the image's bytes
 *
 * The image lies at one distance from where exit stubs jump, in every process. A finding: it is
 * accepted and the oracle, an attacker's luck on its side, sees it escape; or it takes seconds.
 * The bytes are a heap block of their own, for ASan to watch. Inputs are changed as bytes, as
 * images (mutation.h), and by putting foreign instructions into accepted ones.
 */
#include <cstring>

#include "fuzz.h"
#include "host.h"
#include "image_sample.h"
#include "instance.h"
#include "mutation.h"
#include "oracle.h"
#include "sfi/verify.h"

namespace host {
namespace {

constexpr uint64_t kDistance = 0x1000000;	/* from the image to leave */
constexpr size_t kMostBytes = 0xfff0, kMostMutated = 800;
constexpr uint64_t kExitsFrom = 0x7f0000001000;
constexpr unsigned int kRuns = 12;
constexpr unsigned int kOracleKeeps = 2000;	/* judgements, then it is made anew: it remembers all it decoded */

const uint64_t kOdd[] = {0, (1ull << 47) - 1, 1ull << 47, ~0ull, 0xffffffff81000000, 1ull << 63, 1ull << 56, 1};

struct Parsed {
	unsigned int bits;
	KeptImage image;
};

Parsed parse(std::span<const uint8_t> input)
{
	FuzzReader reader(input);
	Parsed parsed{unsigned(reader.take(1)), {"fuzz", contract().leave + -int64_t(kDistance), {}, {}, {}}};
	KeptImage &image = parsed.image;

	image.exits.resize(reader.take(2) % (ub::sfi::kMaxExits + 2));
	const size_t odd = reader.take(1), how = reader.take(1);
	for (size_t i = 0; i < image.exits.size(); i++)
		image.exits[i].ip = ub::UserAddr(kExitsFrom + i);
	if (how && !image.exits.empty())
		image.exits[odd % image.exits.size()].ip = ub::UserAddr(kOdd[how % std::size(kOdd)]);
	size_t faults = reader.take(2);
	for (; faults && reader.rest().size() >= 4; faults--) {
		const auto offset = [&] {
			const uint32_t at = uint32_t(reader.take(2));
			return at >= 0xfff0 ? at << 16 : at;
		};
		const uint32_t instruction = offset(), stub = offset();
		image.faults.push_back({instruction, stub});
	}
	const auto rest = reader.rest().first(std::min(reader.rest().size(), kMostBytes));
	image.bytes.assign(rest.begin(), rest.end());
	return parsed;
}

Bytes unparse(const Parsed &parsed)
{
	const KeptImage &image = parsed.image;
	Bytes input;

	fuzz_put(input, parsed.bits, 1);
	fuzz_put(input, image.exits.size(), 2);
	size_t odd = 0, how = 0;
	for (size_t i = 0; i < image.exits.size(); i++)
		for (size_t k = 1; k < std::size(kOdd); k++)
			if (image.exits[i].ip.value == kOdd[k] && i < 256)
				odd = i, how = k;
	fuzz_put(input, odd, 1);
	fuzz_put(input, how, 1);
	fuzz_put(input, image.faults.size(), 2);
	for (const auto &entry : image.faults) {
		fuzz_put(input, std::min(entry.instruction, 0xffffu), 2);
		fuzz_put(input, std::min(entry.stub, 0xffffu), 2);
	}
	input.insert(input.end(), image.bytes.begin(), image.bytes.end());
	return input;
}

class ImageTarget : public FuzzTarget {
public:
	std::string run(std::span<const uint8_t> input) override
	{
		const Parsed parsed = parse(input);
		const double before = fuzz_seconds();

		const bool accepted = accepts(parsed);
		const double took = fuzz_seconds() - before;
		if (took > kFuzzSeconds)
			return "verify() took " + std::to_string(took) + " s";
		if (!accepted)
			return {};
		good++;

		const unsigned int bits = parsed.bits & 15;
		auto &[oracle, judged] = oracles_[bits];
		if (!oracle || ++judged % kOracleKeeps == 0)
			oracle = std::make_unique<Oracle>(fuzz_contract(bits));
		Random random(fuzz_hash(input));
		const uint32_t offset = uint32_t(random.below(parsed.image.bytes.size()));
		const std::string escape = oracle->judge(parsed.image.image(), offset, kRuns, random);
		return escape.empty() ? escape : "accepted, and " + escape;
	}

	void mutate(Bytes &input, size_t most, Random &random, const ByteMutator &change) override
	{
		Parsed parsed = parse(input);
		KeptImage &image = parsed.image;
		const uint64_t kind = random.below(8);

		if (kind >= 6) {
			change(input, most);
			return;
		}
		if (kind >= 4 && !image.bytes.empty()) {
			change(image.bytes, std::min(most - std::min(most, input.size() - image.bytes.size()), kMostBytes));
		} else if ((parsed.bits & 15) == 0 && accepts(parsed)) {
			if (kind || image.bytes.size() > kMostMutated)
				plant(image, random);
			else
				one_mutant(image, random);
		} else {
			change(input, most);
			return;
		}
		Bytes changed = unparse(parsed);
		if (changed.size() <= most)
			input = std::move(changed);
	}

	std::vector<Bytes> seeds() override
	{
		std::vector<Bytes> seeds;

		for (KeptImage &kept : sample_images(0, kMostMutated)) {
			if (kept.exits.size() > 200 || (kept.origin == "instance" && ++skipped_ % 7))
				continue;
			/* From where it was made to where it lies here: only exit stubs can tell. */
			const uint64_t here = (contract().leave + -int64_t(kDistance)).value;
			const uint32_t moved = uint32_t(kept.address.value - here);
			for (const Start &start : verified_starts(kept.image()))
				if (start.exit) {
					uint32_t relative;
					memcpy(&relative, &kept.bytes[start.offset + 7], 4);
					relative += moved;
					memcpy(&kept.bytes[start.offset + 7], &relative, 4);
				}
			seeds.push_back(unparse({0, std::move(kept)}));
		}
		return seeds;
	}

private:
	bool accepts(const Parsed &parsed)
	{
		/* A block for the bytes alone. */
		std::unique_ptr<uint8_t[]> bytes(new uint8_t[parsed.image.bytes.size()]);
		if (!parsed.image.bytes.empty())
			memcpy(bytes.get(), parsed.image.bytes.data(), parsed.image.bytes.size());
		ub::sfi::Image image = parsed.image.image();
		image.bytes = {bytes.get(), image.bytes.size()};
		ub::Arena arena(memory_.get(), kMemory);
		return bool(ub::sfi::verify(image, fuzz_contract(parsed.bits & 15), arena));
	}

	/* An instruction of a user's over some of the image's, with a fault entry if there is a stub. */
	static void plant(KeptImage &image, Random &random)
	{
		const std::vector<Start> starts = verified_starts(image.image());
		const Instance &instance = instances()[random.below(instances().size())];
		size_t i = random.below(starts.size());
		const uint32_t from = starts[i].offset, bytes = uint32_t(instance.bytes().size());
		uint32_t end = from, stub = 0;

		for (; i < starts.size() && end < from + bytes; i++)
			end = starts[i].offset + starts[i].length;
		for (; i < starts.size() && !stub; i++)
			if (starts[i].exit)
				stub = starts[i].offset;
		if (end < from + bytes)
			return;
		memcpy(&image.bytes[from], instance.begin, bytes);
		memset(&image.bytes[from + bytes], 0x90, end - from - bytes);
		std::erase_if(image.faults, [&](const auto &entry) { return entry.instruction >= from && entry.instruction < end; });
		if (stub && !random.chance(8)) {
			const auto place = std::find_if(image.faults.begin(), image.faults.end(),
							[&](const auto &entry) { return entry.instruction > from; });
			image.faults.insert(place, {from, stub});
		}
	}

	static void one_mutant(KeptImage &image, Random &random)
	{
		KeptImage chosen = image;
		unsigned int seen = 0;

		host::mutate(image, 3, random.next(), [&](const Mutant &mutant) {
			if (random.chance(++seen))
				chosen = mutant.image;
		});
		image = std::move(chosen);
	}

	static constexpr size_t kMemory = size_t(5) << 20;

	std::unique_ptr<char[]> memory_{new char[kMemory]};
	std::pair<std::unique_ptr<Oracle>, unsigned int> oracles_[16];
	unsigned int skipped_ = 0;
};

} // namespace

std::unique_ptr<FuzzTarget> image_target()
{
	return std::make_unique<ImageTarget>();
}

} // namespace host
