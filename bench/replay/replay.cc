// SPDX-License-Identifier: GPL-2.0
/*
 * ub_replay FILE...: learns recorded gaps (record.c) as ub would, without running anything.
 *
 * Each gap is followed through the region that discover() made for its site, as an image of it would be run, and
 * through the parts that begin where it is left. Where there is none, the rest of the gap is explored, which counts as
 * native, what was missed is learned, and there is a new region before the site's next gap. The record is gone through
 * a few times. So it is seen what learning and its budgets can do, apart from faults, polls, and the time that
 * translations take. A line a pass:
 *
 *	FILE pass N: gaps, instructions, the share translated, rounds so far, parts explored and kept, crossings into
 *	them, exits by reason
 *
 * and at the end the sites, with the sizes of their last images, and where gaps were left in the last pass.
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sys/mman.h>

#include "core.h"
#include "kernel/services.h"
#include "profiler/site.h"
#include "translator/discover.h"
#include "translator/translate.h"

namespace {

using namespace ub;
using namespace ub::translator;

constexpr int kPasses = 12;

struct Gap {
	std::vector<uint64_t> stack, ips;
};

struct Mapping {
	uint64_t start, end, executable;
	std::vector<char> bytes;
};

std::vector<Mapping> mappings;

unsigned long copy_from(uint64_t start, void *buffer, unsigned long bytes, bool code)
{
	for (const Mapping &m : mappings) {
		if (start < m.start || start >= m.end || (code && !m.executable))
			continue;
		const unsigned long count = std::min<unsigned long>(bytes, m.end - start);
		memcpy(buffer, m.bytes.data() + (start - m.start), count);
		return count;
	}
	return 0;
}

uint64_t word(FILE *f)
{
	uint64_t value = 0;

	if (fread(&value, sizeof(value), 1, f) != 1) {
		fprintf(stderr, "replay: the record is cut off\n");
		exit(1);
	}
	return value;
}

std::vector<uint64_t> words(FILE *f)
{
	std::vector<uint64_t> all(word(f));

	for (uint64_t &each : all)
		each = word(f);
	return all;
}

std::vector<Gap> load(const char *name)
{
	FILE *f = fopen(name, "r");
	std::vector<Gap> gaps;

	if (!f) {
		perror(name);
		exit(1);
	}
	mappings.clear();
	while (const uint64_t kind = word(f)) {
		if (kind == 1) {
			Gap gap;
			gap.stack = words(f);
			gap.ips = words(f);
			words(f);	/* the stack at its end */
			gaps.push_back(gap);
			continue;
		}
		Mapping m;
		m.start = word(f);
		m.end = word(f);
		m.executable = word(f);
		m.bytes.resize(m.end - m.start);
		if (fread(m.bytes.data(), m.bytes.size(), 1, f) != 1)
			exit(1);
		mappings.push_back(m);
	}
	fclose(f);
	return gaps;
}

struct Site {
	std::unique_ptr<char[]> memory{new char[kWideArenaBytes]};
	Region region;
	std::vector<Observation> learned;
	std::vector<uint64_t> stack;
	uint32_t rounds = 0, gaps = 0;
	bool stale = true, whole = false, wide = false;
	unsigned long instructions = 0, translated = 0;
};

/* Where a gap left its region. */
struct Left {
	const char *why = nullptr;	/* null: at its syscall */
	Observation missed{};
	size_t done = 0;		/* instructions of the gap that ran translated */
	uint32_t context = 0;		/* where in the region it is left */
	size_t at = 0;			/* the same in the gap: calls, returns and the like are not made */
};

Request request_of(UserAddr start, const Site &site)
{
	Request request;

	request.start = start;
	request.learned = site.learned;
	request.stack = site.stack;
	if (site.wide)
		request.budget.instructions = kWideInstructions;
	return request;
}

const char *reason(const Block &block)
{
	switch (block.end) {
	case End::kUnread:
	case End::kRefused:
		return "instruction";
	case End::kVector:
		return "vector";
	case End::kBudget:
		return "budget";
	case End::kTargets:
		return "target";
	default:
		return "cold";
	}
}

/* The successor of a block whose last instruction was followed by the one at `to`. */
uint32_t successor(const Region &region, const Block &block, UserAddr to)
{
	if (block.end == End::kTargets) {
		for (const Successor &target : region.targets_of(block))
			if (target.address == to)
				return target.block;
		return kNoBlock;
	}
	if (block.end == End::kBranch && block.taken.address == to)
		return block.taken.block;
	if (block.end == End::kFallThrough || block.end == End::kJump || block.end == End::kCall || block.end == End::kBranch)
		return block.next.block;
	return kNoBlock;
}

Left follow(const Region &region, const std::vector<uint64_t> &ips, size_t done)
{
	uint32_t at = 0;

	for (;;) {
		const Block &block = region.blocks[at];
		const auto insns = region.of(block);
		const bool refused = block.end == End::kRefused || block.end == End::kVector;
		for (size_t n = 0; n < insns.size(); n++) {
			if (insns[n].address.value != ips[done])
				return {"astray", {}, done};
			if (refused && n + 1 == insns.size())
				return {insns[n].why ? insns[n].why : reason(block), {}, done};
			if (++done == ips.size())
				return {block.end == End::kSyscall ? nullptr : "astray", {}, done};
		}
		const UserAddr to(ips[done]);
		at = successor(region, block, to);
		if (at == kNoBlock)
			return {reason(block), {insns.empty() ? UserAddr(0) : insns.back().address, to, region.contexts[block.context].calls}, done, block.context,
				block.end == End::kTargets || block.end == End::kCall ? done - 1 : done};
	}
}

/* What goes on inside a gap, by where it begins and the calls open there. */
struct Part {
	std::unique_ptr<char[]> memory;
	Region region;
	Site *site = nullptr;
};
using Parts = std::map<std::pair<uint64_t, uint32_t>, Part>;

std::pair<uint64_t, uint32_t> part_at(const Gap &gap, const Left &left)
{
	return {gap.ips[left.at], left.missed.calls};
}

/* Where a gap is gone through: the region, and the site that it was made for, which learns. */
struct At {
	Site *site;
	const Region *region;
};

struct Totals {
	unsigned long instructions = 0, translated = 0, rounds = 0, parts = 0, crossings = 0;
	std::map<std::string, unsigned long> exits;
	std::map<std::string, unsigned long> places;
};

void discover_again(UserAddr start, Site &site, const sfi::Contract &contract)
{
	const Request request = request_of(start, site);
	Arena arena(site.memory.get(), kWideArenaBytes);
	const auto region = discover(request, request.budget.instructions, contract, arena);

	site.rounds++;
	site.stale = false;
	site.region = region ? *region : Region();
	site.whole = site.region.instructions < request.budget.instructions;
	if (!site.whole && !site.wide)
		site.wide = site.stale = true;
}

bool learn(Site &site, const Observation &missed)
{
	const bool known = std::find(site.learned.begin(), site.learned.end(), missed) != site.learned.end();
	if (!missed.from.value || known || site.learned.size() >= profiler::kMaxObservations)
		return false;
	site.learned.push_back(missed);
	site.stale = true;
	return true;
}

std::vector<UserAddr> open_calls(const Region &region, uint32_t context)
{
	std::vector<UserAddr> open;

	for (; context; context = region.contexts[context].parent)
		open.insert(open.begin(), region.contexts[context].return_address);
	return open;
}

/* Through the parts that are there. Returns where the last one was left. */
Left go_on(const Parts &parts, const Gap &gap, Left left, At &at, Totals &totals)
{
	while (left.why && left.missed.from.value) {
		const auto part = parts.find(part_at(gap, left));
		if (part == parts.end())
			break;
		const Left next = follow(part->second.region, gap.ips, left.at);
		const bool on = next.at > left.at;

		at = {part->second.site, &part->second.region};
		totals.crossings++;
		left = next;
		/* As ub_run_leave(): what was left for its first instruction would be left for it again. */
		if (!on)
			break;
	}
	return left;
}

/* The rest of a gap, as src/explore.cc goes through it. */
void explore(Parts &parts, const Gap &gap, Left left, At at, const sfi::Contract &contract, Totals &totals)
{
	while (left.why && left.missed.from.value) {
		const std::vector<UserAddr> open = open_calls(*at.region, left.context);
		Request request = request_of(UserAddr(gap.ips[left.at]), *at.site);
		request.open = open;
		request.budget.unlikely = 0;
		request.stack = {};
		std::unique_ptr<char[]> memory(new char[kPartArenaBytes]);
		Arena arena(memory.get(), kPartArenaBytes);
		const auto found = discover(request, kPartInstructions, contract, arena);
		totals.parts++;
		if (!found)
			return;
		/* What it replaces was in use until now. */
		parts[part_at(gap, left)] = {std::move(memory), *found, at.site};
		const Left next = go_on(parts, gap, left, at, totals);
		if (next.missed == left.missed)
			return;
		learn(*at.site, next.missed);
		left = next;
	}
}

void pass(const std::vector<Gap> &gaps, std::map<uint64_t, Site> &sites, Parts &parts,
	  const sfi::Contract &contract, Totals &totals)
{
	for (const Gap &gap : gaps) {
		Site &site = sites[gap.ips[0]];
		site.gaps++;
		totals.instructions += gap.ips.size();
		site.instructions += gap.ips.size();
		if (site.stack.empty()) {
			site.stack = gap.stack;
		}
		if (site.stale) {
			discover_again(UserAddr(gap.ips[0]), site, contract);
			totals.rounds++;
			if (site.whole)
				std::erase_if(parts, [&](const auto &part) { return part.second.site == &site; });
		}
		if (!site.region.blocks.size())
			continue;
		At at = {&site, &site.region};
		const Left left = go_on(parts, gap, follow(site.region, gap.ips, 0), at, totals);
		totals.translated += left.done;
		site.translated += left.done;
		if (!left.why)
			continue;
		char place[200];
		snprintf(place, sizeof(place), "%s %lx (gap at %lx)", left.why, gap.ips[std::min(left.done, gap.ips.size() - 1)], gap.ips[0]);
		totals.exits[left.why]++;
		totals.places[place]++;
		learn(*at.site, left.missed);
		explore(parts, gap, left, at, contract, totals);
	}
}

char *arena_code;

void show(uint64_t start, const Site &site, const sfi::Contract &contract)
{
	std::unique_ptr<char[]> memory(new char[kWideArenaBytes]);
	Arena arena(memory.get(), kWideArenaBytes);
	const auto made = translate(request_of(UserAddr(start), site), {KernelAddr(uintptr_t(arena_code)), sfi::kImageMaxBytes},
				    contract, arena);
	const size_t bytes = made ? made->verified.image().bytes.size() : 0;

	printf("  site %lx: %u gaps, %.2f %% of %lu instructions, %u rounds, %zu learned, region %u, %zu bytes%s\n", start, site.gaps,
	       100.0 * double(site.translated) / double(site.instructions), site.instructions, site.rounds, site.learned.size(),
	       site.region.instructions, bytes, made ? "" : " (no image)");
}

void replay(const char *name, const sfi::Contract &contract)
{
	const std::vector<Gap> gaps = load(name);
	std::map<uint64_t, Site> sites;
	Parts parts;
	Totals totals;
	unsigned long rounds = 0;

	for (int n = 1; n <= kPasses; n++) {
		totals = Totals();
		for (auto &[start, site] : sites)
			site.instructions = site.translated = site.gaps = 0;
		pass(gaps, sites, parts, contract, totals);
		rounds += totals.rounds;
		printf("%s pass %d: %zu gaps, %lu instructions, %.3f %% translated, %lu rounds, %lu parts explored, %zu kept, %lu crossings;", name, n, gaps.size(), totals.instructions,
		       100.0 * double(totals.translated) / double(totals.instructions), rounds, totals.parts, parts.size(),
		       totals.crossings);
		for (const auto &[why, count] : totals.exits)
			printf(" %lu %s", count, why.c_str());
		printf("\n");
	}
	for (const auto &[start, site] : sites)
		show(start, site, contract);
	for (const auto &[place, count] : totals.places)
		printf("  left %lu times: %s\n", count, place.c_str());
}

} // namespace

extern "C" {

unsigned long ubk_guest_read(struct ubk_mm *, unsigned long start, void *buffer, unsigned long bytes)
{
	return copy_from(start, buffer, bytes, true);
}

unsigned long ubk_guest_peek(struct ubk_mm *, unsigned long start, void *buffer, unsigned long bytes)
{
	return copy_from(start, buffer, bytes, false);
}

int ubk_code_write(unsigned long address, const void *bytes, unsigned long count)
{
	memcpy(reinterpret_cast<void *>(address), bytes, count);
	return 0;
}

void *ubk_alloc(unsigned long bytes)
{
	return calloc(1, bytes);
}

void ubk_free(void *memory)
{
	free(memory);
}

}

int main(int argc, char **argv)
{
	sfi::Contract contract;

	arena_code = static_cast<char *>(mmap(nullptr, 2u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	contract.leave = KernelAddr(uintptr_t(arena_code) + (1u << 20));
	contract.poll_mask = 0x2000e;
	contract.mask_bit = 47;
	contract.locked_accesses = true;
	contract.avx = true;
	contract.avx512 = true;
	for (int i = 1; i < argc; i++)
		replay(argv[i], contract);
	return 0;
}
