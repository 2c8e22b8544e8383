// SPDX-License-Identifier: GPL-2.0
/*
 * Fuzzing with a fixed seed, and no feedback: it needs no compiler but the build's.
 *
 *   guest code   random bytes, real code, real code with bytes changed: translate()
 *                ends, keeps to its memory, and the verifier accepts what it made
 *   images       accepted ones with bytes, fault entries or exits changed: verify()
 *                ends, keeps to its memory
 *
 * CASES bounds each kind, SEED moves both. Prints TAP. Meant for the ASan build.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "guest.h"
#include "host.h"
#include "translator/translate.h"

namespace {

using namespace host;
using ub::sfi::Exit;
using ub::sfi::FaultEntry;
using ub::sfi::Image;

constexpr uint64_t kGuestBase = 0x7a0012340000;
constexpr size_t kGuestBytes = 2048;
constexpr uint32_t kCodeBytes = ub::sfi::kImageMaxBytes;

struct Kept {
	std::vector<uint8_t> bytes;
	std::vector<FaultEntry> faults;
	std::vector<Exit> exits;
};

struct Fuzzer {
	explicit Fuzzer(uint64_t seed)
		: random(seed), code(ubk_code_reserve(kCodeBytes)), arena_memory(new char[ub::translator::kArenaBytes])
	{
		/* This program's own text is the real code. */
		real.resize(256 << 10);
		real.resize(ubk_guest_read(nullptr, text_start(), real.data(), real.size()));
	}

	static uint64_t text_start() { return reinterpret_cast<uint64_t>(&ubk_guest_read) & ~4095ul; }

	ub::Arena arena() { return ub::Arena(arena_memory.get(), ub::translator::kArenaBytes); }

	void make_guest()
	{
		guest.assign(kGuestBytes, 0xcc);
		const uint64_t kind = random.below(4);
		if (kind == 0) {
			for (uint8_t &byte : guest)
				byte = uint8_t(random.next());
			return;
		}
		memcpy(guest.data(), real.data() + random.below(real.size() - guest.size()), guest.size());
		for (uint64_t n = kind == 1 ? 0 : random.below(kind == 2 ? 4 : 40); n; n--)
			guest[random.below(guest.size())] = uint8_t(random.next());
	}

	/* Whether what was made of random guest code is right. */
	bool translate_one()
	{
		make_guest();
		add_guest_code(kGuestBase, guest.data(), guest.size());

		ub::translator::Request request;
		std::vector<ub::Observation> learned;
		for (uint64_t n = random.below(6); n; n--)
			learned.push_back({ub::UserAddr(kGuestBase + random.below(256)),
					   ub::UserAddr(random.chance(8) ? random.next() : kGuestBase + random.below(512))});
		request.start = ub::UserAddr(kGuestBase + random.below(64));
		request.learned = learned;
		if (random.chance(4))
			request.budget = {uint32_t(random.below(300)), uint32_t(random.below(300)),
					  uint32_t(random.below(8)), uint32_t(random.below(8))};
		ub::Arena scratch = random.chance(16)
			? ub::Arena(arena_memory.get(), random.below(ub::translator::kArenaBytes))
			: arena();
		ub::sfi::Refusal refusal;
		const uint32_t room = random.chance(8) ? uint32_t(4096 * (1 + random.below(4))) : kCodeBytes;
		auto result = ub::translator::translate(request, {ub::KernelAddr(code), room}, contract(), scratch, nullptr,
							&refusal);
		remove_guest_code(kGuestBase);
		if (!result) {
			if (result.fault() == ub::Fault::kRejected) {
				printf("# refused at %u: %s\n# guest code from byte %ld:", refusal.offset,
				       refusal.why ? refusal.why : "?", request.start - ub::UserAddr(kGuestBase));
				for (uint8_t byte : guest)
					printf(" %02x", byte);
				printf("\n");
			}
			return result.fault() != ub::Fault::kRejected;
		}
		translated++;
		const Image &image = result->verified.image();
		const Kept accepted{{image.bytes.begin(), image.bytes.end()}, {image.faults.begin(), image.faults.end()},
				    {image.exits.begin(), image.exits.end()}};
		if (kept.size() < 200)
			kept.push_back(accepted);
		else
			kept[random.below(kept.size())] = accepted;
		return true;
	}

	void verify_one()
	{
		if (kept.empty())
			return;
		Kept image = kept[random.below(kept.size())];

		for (uint64_t n = 1 + random.below(4); n; n--)
			mutate(image);
		ubk_code_write(code, image.bytes.data(), image.bytes.size());
		ub::Arena scratch = arena();
		const Image changed{ub::KernelAddr(code), {reinterpret_cast<const uint8_t *>(code), image.bytes.size()},
				    image.faults, image.exits};
		if (auto verified = ub::sfi::verify(changed, contract(), scratch))
			accepted++;
		else
			refused++;
	}

	void mutate(Kept &image)
	{
		switch (random.below(6)) {
		case 0:
		case 1:
			if (!image.bytes.empty())
				image.bytes[random.below(image.bytes.size())] ^= uint8_t(1u << random.below(8));
			break;
		case 2:
			if (!image.bytes.empty())
				image.bytes[random.below(image.bytes.size())] = uint8_t(random.next());
			break;
		case 3:
			image.bytes.resize(random.below(image.bytes.size() + 1));
			break;
		case 4:
			if (!image.faults.empty()) {
				FaultEntry &entry = image.faults[random.below(image.faults.size())];
				(random.chance(2) ? entry.instruction : entry.stub) = uint32_t(random.interesting());
			}
			break;
		case 5:
			if (!image.exits.empty()) {
				Exit &exit = image.exits[random.below(image.exits.size())];
				exit.ip = ub::UserAddr(random.interesting());
				if (random.chance(2))
					image.exits.pop_back();
			}
			break;
		}
	}

	Random random;
	uint64_t code;
	std::unique_ptr<char[]> arena_memory;
	std::vector<uint8_t> real, guest;
	std::vector<Kept> kept;
	unsigned long translated = 0, accepted = 0, refused = 0;
};

unsigned long from_environment(const char *name, unsigned long by_default)
{
	const char *text = getenv(name);
	return text ? strtoul(text, nullptr, 0) : by_default;
}

} // namespace

int main()
{
	const unsigned long count = from_environment("CASES", 3000);
	Fuzzer fuzzer(from_environment("SEED", 1));
	unsigned long bad = 0;

	setvbuf(stdout, nullptr, _IOLBF, 0);
	printf("TAP version 13\n1..2\n");
	for (unsigned long i = 0; i < count; i++)
		bad += !fuzzer.translate_one();
	printf("%sok 1 translate # %lu of %lu translated, %lu refused by the verifier\n", bad ? "not " : "",
	       fuzzer.translated, count, bad);
	for (unsigned long i = 0; i < 4 * count; i++)
		fuzzer.verify_one();
	printf("%sok 2 verify # changed images: %lu refused, %lu accepted\n", fuzzer.kept.empty() ? "not " : "",
	       fuzzer.refused, fuzzer.accepted);
	return bad || fuzzer.kept.empty();
}
