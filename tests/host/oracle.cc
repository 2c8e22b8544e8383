// SPDX-License-Identifier: GPL-2.0
/* The oracle: see oracle.h. */
#include "oracle.h"

#include <cstdio>
#include <deque>

#include "oracle_insn.h"
#include "sfi/frame.h"

namespace host {
namespace {

using ub::sfi::Image;

constexpr unsigned int kStepsBehind = 150;	/* after the place of interest */
constexpr int kTransient = 512;			/* instructions run past a fault */
constexpr uint32_t kOut = ~0u;			/* of the image: to leave */

/* Addresses an attacker would try. */
uint64_t wild(Random &random)
{
	static constexpr uint64_t kFamous[] = {
		0, 0x1000, 0x7fffffffffff, 0x7fffffffefff, 0x800000000000, 0xffff800000000000, 0xffff888000100000,
		0xffffffff81000000, 0xffffffffc0000000, 0xfffffffffffffff8, 0xffffffffffe00000, 0x00ffffffffffffff,
		0x0100000000000000, 0xff11000000100000, 0x8000000000000000, 0x555555554000, 0x7a0012440000, 1ull << 46,
	};
	uint64_t value = kFamous[random.below(std::size(kFamous))];
	switch (random.below(6)) {
	case 0: return random.next();
	case 1: return value ^ 1ull << random.below(64);
	case 2: return value + int64_t(random.below(1 << 22)) - (1 << 21);
	case 3: return value + int32_t(random.next());
	case 4: return random.next() & 0x7fffffffffff;
	default: return value;
	}
}

uint64_t deposit(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;

	for (unsigned int to = 0, from = 0; to < 64; to++)
		if (mask >> to & 1)
			result |= (value >> from++ & 1) << to;
	return result;
}

template <size_t n>
bool match(std::span<const uint8_t> bytes, uint32_t offset, const int (&pattern)[n])
{
	if (bytes.size() - offset < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (pattern[i] >= 0 && bytes[offset + i] != pattern[i])
			return false;
	return true;
}

uint32_t word(std::span<const uint8_t> bytes, uint32_t at)
{
	uint32_t value;
	memcpy(&value, &bytes[at], 4);
	return value;
}

} // namespace

/* The image that is judged. */
struct Oracle::Run {
	struct Place {
		const OracleInsn *insn = nullptr;
		uint32_t poll_bytes = 0;	/* a poll begins here, so long */
		uint32_t poll_exit = 0;		/* where it leaves to */
		uint32_t stub = kOut;		/* of its fault entry */
	};

	Run(Oracle &oracle_, const Image &image_) : oracle(oracle_), image(image_), bytes(image_.bytes), places(image_.bytes.size()) {}

	std::string escape(uint32_t at, const std::string &why) const
	{
		char text[32];
		snprintf(text, sizeof(text), "%#x: ", at);
		return text + (at < places.size() && places[at].insn ? places[at].insn->text + ": " : std::string()) + why;
	}

	uint64_t mask() const { return ~(uint64_t(1) << oracle.contract_.mask_bit); }
	bool starts(uint32_t at) const { return at < places.size() && places[at].insn; }
	uint32_t target(uint32_t at) const { return uint32_t(at + places[at].insn->length + places[at].insn->value); }
	bool leaves(uint32_t at) const
	{
		const OracleInsn &insn = *places[at].insn;
		return insn.does == OracleInsn::kJump &&
		       image.address.value + at + insn.length + uint64_t(insn.value) == oracle.contract_.leave.value;
	}
	bool is_stub(uint32_t at) const
	{
		return starts(at) && starts(at + 6) && bytes[at] == 0x41 && bytes[at + 1] == 0xb9 && leaves(at + 6);
	}

	void find_poll(uint32_t at);
	std::string sweep();
	std::string check_cycles() const;
	std::vector<uint32_t> next(uint32_t at) const;
	std::vector<uint32_t> way_to(uint32_t offset) const;
	std::string run(const std::vector<uint32_t> &way, Random &random);

	Oracle &oracle;
	const Image &image;
	std::span<const uint8_t> bytes;
	std::vector<Place> places;
};

Oracle::Oracle(const ub::sfi::Contract &contract) : contract_(contract)
{
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &capstone_) != CS_ERR_OK)
		abort();
	cs_option(capstone_, CS_OPT_DETAIL, CS_OPT_ON);
	scratch_ = cs_malloc(capstone_);
}

Oracle::~Oracle()
{
	cs_free(scratch_, 1);
	cs_close(&capstone_);
}

const OracleInsn &Oracle::decode(std::span<const uint8_t> bytes, uint32_t offset)
{
	uint8_t window[16] = {};
	const size_t count = std::min<size_t>(15, bytes.size() - offset);
	uint64_t low, high;

	memcpy(window, &bytes[offset], count);
	window[15] = uint8_t(count);
	memcpy(&low, window, 8);
	memcpy(&high, window + 8, 8);
	auto &kept = known_[{low, high}];
	if (!kept) {
		const uint8_t *code = window;
		size_t left = count;
		uint64_t address = 0;
		kept = std::make_unique<OracleInsn>();
		if (cs_disasm_iter(capstone_, &code, &left, &address, scratch_))
			*kept = oracle_insn(capstone_, *scratch_);
	}
	return *kept;
}

bool Oracle::reads(std::span<const uint8_t> bytes)
{
	return decode(bytes, 0).readable;
}

/* The two polls, byte for byte: as frame.h and the contract have them. */
void Oracle::Run::find_poll(uint32_t at)
{
	static constexpr int kPoll[] = {0x4c, 0x8b, 0x4c, 0x24, UB_FRAME_WORK, 0x41, 0xf7, 0x01, -1, -1, -1, -1,
					0x0f, 0x85, -1, -1, -1, -1};
	static constexpr int kLivePoll[] = {
		0x4c, 0x8b, 0x4c, 0x24, UB_FRAME_WORK, 0x45, 0x8b, 0x09, 0x48, 0x89, 0x4c, 0x24, UB_FRAME_SPILL0,
		0xb9, -1, -1, -1, -1, 0xc4, 0xe2, 0x32, 0xf5, 0xc9, 0xe3, 0x0a, 0x48, 0x8b, 0x4c, 0x24, UB_FRAME_SPILL0,
		0xe9, -1, -1, -1, -1, 0x48, 0x8b, 0x4c, 0x24, UB_FRAME_SPILL0};

	if (match(bytes, at, kPoll) && word(bytes, at + 8) == oracle.contract_.poll_mask) {
		places[at].poll_bytes = sizeof(kPoll) / sizeof(int);
		places[at].poll_exit = at + 18 + word(bytes, at + 14);
	} else if (match(bytes, at, kLivePoll) && word(bytes, at + 14) == oracle.contract_.poll_mask) {
		places[at].poll_bytes = sizeof(kLivePoll) / sizeof(int);
		places[at].poll_exit = at + 35 + word(bytes, at + 31);
	}
}

/* Decodes all of it, and looks at what can be seen without running it. */
std::string Oracle::Run::sweep()
{
	for (uint32_t at = 0; at < bytes.size();) {
		const OracleInsn &insn = oracle.decode(bytes, at);
		places[at].insn = &insn;
		if (!insn.readable) {
			for (uint32_t i = at; i < at + 12 && i < bytes.size(); i++) {
				char byte[4];
				snprintf(byte, sizeof(byte), "%02x ", bytes[i]);
				oracle.unreadable += byte;
			}
			return {};
		}
		if (insn.length > bytes.size() - at)
			return escape(at, "runs past the end");
		at += insn.length;
	}
	for (uint32_t at = 0; at < bytes.size(); at += places[at].insn->length) {
		const OracleInsn &insn = *places[at].insn;
		find_poll(at);
		if (insn.forbidden)
			return escape(at, insn.forbidden);
		if (at && at + 4 <= bytes.size() && bytes[at] == 0xf3 && word(bytes, at) << 1 == 0xfa1e0ff3u << 1)
			return escape(at, "a landing pad");
	}
	for (uint32_t at = 1; at + 4 <= bytes.size(); at++)
		if (bytes[at] == 0xf3 && bytes[at + 1] == 0x0f && bytes[at + 2] == 0x1e && (bytes[at + 3] & 0xfe) == 0xfa)
			return escape(at, "a landing pad inside of an instruction");
	for (const auto &entry : image.faults) {
		if (!starts(entry.instruction) || !is_stub(entry.stub))
			return escape(entry.instruction, "a fault entry that is not from an instruction to a stub");
		places[entry.instruction].stub = entry.stub;
	}
	for (const auto &exit : image.exits)
		if (exit.ip.value >> 47)
			return "an exit outside of the user half";
	return {};
}

/* Where control goes; polls are run through. */
std::vector<uint32_t> Oracle::Run::next(uint32_t at) const
{
	const Place &place = places[at];

	if (place.poll_bytes)
		return {at + place.poll_bytes};
	switch (place.insn->does) {
	case OracleInsn::kJump:
		return {leaves(at) ? kOut : target(at)};
	case OracleInsn::kBranch:
		return {at + place.insn->length, target(at)};
	default:
		return {at + place.insn->length};
	}
}

/* No cycle without a poll: what is left when polls are taken out can be emptied from its ends. */
std::string Oracle::Run::check_cycles() const
{
	std::vector<uint8_t> seen(bytes.size());	/* 1: on the path, 2: done */
	std::vector<std::pair<uint32_t, bool>> todo;

	for (uint32_t root = 0; root < bytes.size(); root += places[root].insn->length) {
		todo.push_back({root, false});
		while (!todo.empty()) {
			auto [at, leave] = todo.back();
			todo.pop_back();
			if (leave) {
				seen[at] = 2;
				continue;
			}
			if (seen[at] == 2)
				continue;
			if (seen[at] == 1)
				return escape(at, "a cycle without a poll");
			seen[at] = 1;
			todo.push_back({at, true});
			if (places[at].poll_bytes)
				continue;
			for (uint32_t to : next(at)) {
				if (to == kOut)
					continue;
				if (!starts(to))
					return escape(at, "control goes to where no instruction starts");
				if (seen[to] == 1)
					return escape(to, "a cycle without a poll");
				if (!seen[to])
					todo.push_back({to, false});
			}
		}
	}
	return {};
}

/* The shortest way from the entry to the instruction that holds the byte. Empty: there is none. */
std::vector<uint32_t> Oracle::Run::way_to(uint32_t offset) const
{
	std::vector<uint32_t> from(bytes.size(), kOut);
	std::deque<uint32_t> todo{0};

	from[0] = 0;
	while (!todo.empty()) {
		const uint32_t at = todo.front();
		todo.pop_front();
		const uint32_t end = at + (places[at].poll_bytes ? places[at].poll_bytes : places[at].insn->length);
		if (at <= offset && offset < end) {
			std::vector<uint32_t> way{at};
			while (way.back())
				way.push_back(from[way.back()]);
			return {way.rbegin(), way.rend()};
		}
		for (uint32_t to : next(at))
			if (starts(to) && from[to] == kOut) {
				from[to] = at;
				todo.push_back(to);
			}
	}
	return {};
}

std::string Oracle::Run::run(const std::vector<uint32_t> &way, Random &random)
{
	const uint64_t user_half = uint64_t(1) << oracle.contract_.mask_bit;
	uint64_t r[16];
	uint8_t frame[UB_FRAME_SIZE];
	bool r9_is_kernel = way.front() == 0;
	int transient = -1;

	/* As enter.S leaves it; or nothing known, where no way leads from the entry. */
	for (uint64_t &value : r)
		value = wild(random);
	for (size_t i = 0; i < sizeof(frame); i += 8) {
		const uint64_t value = i == UB_FRAME_MASK ? mask()
				       : i == UB_FRAME_FSBASE ? random.below((uint64_t(1) << 47) - (2u << 30) + 1)
							      : wild(random);
		memcpy(frame + i, &value, 8);
	}
	memset(frame + UB_FRAME_SPILL0, 0, 24);
	if (way.front() == 0) {
		r[10] = mask();
		r[11] = wild(random) & (user_half - 1);
	}
	const uint64_t fs_base = random.chance(3) ? 0 : random.chance(2) ? (uint64_t(1) << 47) - (2u << 30)
									 : random.below(uint64_t(1) << 46);

	uint32_t at = way.front();
	for (size_t step = 0; step < way.size() + kStepsBehind; step++) {
		if (!starts(at))
			return escape(at, "control is where no instruction starts");
		const Place &place = places[at];
		const OracleInsn &insn = *place.insn;
		const auto forced = [&](uint32_t yes, uint32_t no) {
			if (step + 1 < way.size())
				return way[step + 1];
			return random.chance(2) ? yes : no;
		};

		if (transient >= 0 && transient-- == 0)
			return {};
		if (place.poll_bytes) {
			if (!is_stub(place.poll_exit))
				return escape(at, "a poll that leads elsewhere than to a stub");
			r9_is_kernel = true;
			if (place.poll_bytes > 18)
				memcpy(frame + UB_FRAME_SPILL0, &r[1], 8);
			at += place.poll_bytes;
			continue;
		}
		if (r9_is_kernel && insn.reads & 1u << 9)
			return escape(at, "reads the kernel's value in r9");
		if (insn.raises && place.stub == kOut)
			return escape(at, "may raise, and has no fault entry");

		const auto value_of = [&](int reg) { return reg >= 0 ? r[reg] : 0; };
		uint64_t address = uint64_t(insn.displacement) + value_of(insn.base) + value_of(insn.index) * insn.scale;
		uint64_t loaded = wild(random);
		const bool slot = insn.access && insn.base == 4;
		if (slot) {
			const uint64_t offset = uint64_t(insn.displacement);
			if (insn.index != kNoGpr || insn.fs || insn.address32)
				return escape(at, "a frame access at a computed place");
			if (offset + insn.bytes > UB_FRAME_WORK || offset >= UB_FRAME_WORK)
				return escape(at, "a frame access outside of the image's slots");
			if (insn.stores && offset + insn.bytes > UB_FRAME_FSBASE)
				return escape(at, "a write to a frame slot that is only read");
			if (insn.does == OracleInsn::kStore) {
				memcpy(frame + offset, &r[insn.from], insn.bytes);
			} else if (insn.stores) {
				for (unsigned int i = 0; i < insn.bytes; i++)
					frame[offset + i] = uint8_t(random.next());
			}
			if (insn.does == OracleInsn::kLoad) {
				loaded = 0;
				memcpy(&loaded, frame + offset, std::min<size_t>(insn.bytes, 8));
			}
		} else if (insn.access) {
			if (insn.base == kRipGpr)
				return escape(at, "an access relative to rip");
			if (insn.address32)
				address = uint32_t(address);
			if (insn.fs)
				address += fs_base;
			const uint64_t space = 2 * user_half - 1;
			for (uint64_t end : {address, address + insn.bytes - 1}) {
				const uint64_t low = end & space;
				if (low >= user_half + (uint64_t(1) << 31) && low < 2 * user_half - (2 << 20)) {
					char text[64];
					snprintf(text, sizeof(text), "accesses %#lx", address);
					return escape(at, text);
				}
			}
			if (!insn.hint && place.stub == kOut)
				return escape(at, "accesses memory, and has no fault entry");
			if (!insn.hint && transient < 0 && (address >= user_half || random.chance(16)))
				transient = kTransient;
		}

		if (insn.does == OracleInsn::kJump || insn.does == OracleInsn::kBranch) {
			if (insn.does == OracleInsn::kJump && leaves(at)) {
				if (r[9] >= image.exits.size() || r9_is_kernel)
					return escape(at, "leaves with a number that is no exit's");
				return {};
			}
			const uint32_t to = target(at);
			at = insn.does == OracleInsn::kJump ? to : forced(to, at + insn.length);
			continue;
		}

		uint64_t result = 0;
		switch (insn.does) {
		case OracleInsn::kMove: result = r[insn.from]; break;
		case OracleInsn::kConstant: result = uint64_t(insn.value); break;
		case OracleInsn::kLea:
			result = insn.base == kRipGpr ? image.address.value + at + insn.length + uint64_t(insn.displacement)
						      : address;
			if (insn.address32)
				result = uint32_t(result);
			break;
		case OracleInsn::kAnd: result = r[insn.to] & r[insn.from]; break;
		case OracleInsn::kDeposit: result = deposit(r[insn.from], r[insn.mask]); break;
		case OracleInsn::kResetBit: result = r[insn.to] & ~(uint64_t(1) << insn.value); break;
		case OracleInsn::kAdd: result = r[insn.to] + uint64_t(insn.value); break;
		case OracleInsn::kLoad: result = loaded; break;
		default: break;
		}
		for (int i = 0; i < 16; i++)
			if (insn.writes >> i & 1)
				r[i] = insn.writes32 >> i & 1 ? uint32_t(wild(random)) : wild(random);
		if (insn.does != OracleInsn::kHavoc && insn.does != OracleInsn::kStore)
			r[insn.to] = insn.to_bytes == 4 ? uint32_t(result) : result;
		if (insn.writes & 1u << 9)
			r9_is_kernel = false;
		at += insn.length;
	}
	return {};
}

std::string Oracle::judge(const Image &image, uint32_t offset, unsigned int runs, Random &random)
{
	Run run(*this, image);

	unreadable.clear();
	std::string why = run.sweep();
	if (!unreadable.empty())
		return {};
	if (why.empty())
		why = run.check_cycles();
	if (!why.empty())
		return why;
	std::vector<uint32_t> way = run.way_to(offset);
	if (way.empty() && offset < image.bytes.size()) {
		/* Faults lead to stubs, with anything in registers. Nothing leads elsewhere: dead code. */
		while (!run.starts(offset))
			offset--;
		const uint32_t stub = offset >= 6 && run.is_stub(offset - 6) ? offset - 6 : offset;
		if (run.is_stub(stub))
			way = {stub};
	}
	if (way.empty())
		way = {0};
	for (unsigned int i = 0; i < runs && why.empty(); i++)
		why = run.run(way, random);
	return why;
}

} // namespace host
