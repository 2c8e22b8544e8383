// SPDX-License-Identifier: GPL-2.0
/* Shrinking: see shrink.h. */
#include "shrink.h"

#include <cstring>

#include <Zydis/Zydis.h>
#include <capstone/capstone.h>

namespace host {
namespace {

constexpr uint64_t kGoldenAt = 0x7f0000001000;	/* where golden_test.cc has the code */
constexpr uint8_t kNop = 0x90;
constexpr unsigned int kMostTries = 4000;

/* An instruction, and the one that its branch leads to: by number, -1 none of these. */
struct Item {
	std::vector<uint8_t> bytes;
	int target = -1;
	uint8_t relative_at = 0, relative_bytes = 0;
	bool from_rip = false;	/* … not a branch: it names `address` */
	uint64_t address = 0;

	bool is_nop() const { return bytes == std::vector<uint8_t>(bytes.size(), kNop); }
};

/* The code as instructions; what is none is items of a byte. */
std::vector<Item> take_apart(const std::vector<uint8_t> &code, uint64_t base)
{
	std::vector<Item> items;
	std::vector<int> at(code.size() + 1, -1);
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (size_t offset = 0; offset < code.size();) {
		ZydisDecodedInstruction insn;
		Item item;
		size_t length = 1;

		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, &code[offset], code.size() - offset, &insn))) {
			length = insn.length;
			const uint64_t next = base + offset + length;
			if (insn.raw.imm[0].is_relative) {
				item.relative_at = insn.raw.imm[0].offset, item.relative_bytes = insn.raw.imm[0].size / 8;
				item.address = next + uint64_t(insn.raw.imm[0].value.s);
			} else if (insn.raw.modrm.mod == 0 && insn.raw.modrm.rm == 5 && insn.raw.disp.size == 32) {
				item.relative_at = insn.raw.disp.offset, item.relative_bytes = 4;
				item.address = next + uint64_t(insn.raw.disp.value);
				item.from_rip = true;
			}
		}
		item.bytes.assign(code.begin() + long(offset), code.begin() + long(offset + length));
		at[offset] = int(items.size());
		items.push_back(std::move(item));
		offset += length;
	}
	for (Item &item : items)
		if (item.relative_bytes && item.address - base < code.size())
			item.target = at[item.address - base];
	return items;
}

/* The items but for the nops, with branches and addresses set anew. Nothing when one does not reach. */
std::optional<std::vector<uint8_t>> put_together(const std::vector<Item> &items, uint64_t base)
{
	std::vector<uint64_t> places;
	std::vector<uint8_t> code;
	uint64_t place = base;

	for (const Item &item : items) {
		places.push_back(place);
		place += item.is_nop() ? 0 : item.bytes.size();
	}
	for (size_t i = 0; i < items.size(); i++) {
		const Item &item = items[i];
		if (item.is_nop())
			continue;
		const size_t start = code.size();
		code.insert(code.end(), item.bytes.begin(), item.bytes.end());
		if (!item.relative_bytes)
			continue;
		const uint64_t to = item.target >= 0 ? places[size_t(item.target)] : item.address;
		const int64_t relative = int64_t(to - (places[i] + item.bytes.size()));
		if (relative != (item.relative_bytes == 1 ? int64_t(int8_t(relative)) : int64_t(int32_t(relative))))
			return {};
		memcpy(&code[start + item.relative_at], &relative, item.relative_bytes);
	}
	return code;
}

class Shrinker {
public:
	Shrinker(Guest &guest, Differential &differential, FailingCase failing)
		: guest_(guest), differential_(differential), least_(std::move(failing)) {}

	bool try_code(std::vector<uint8_t> code)
	{
		FailingCase other = least_;
		other.code = std::move(code);
		return try_case(std::move(other));
	}

	/* It is the least one from now on if it fails. */
	bool try_case(FailingCase other)
	{
		std::vector<uint32_t> syscalls;

		if (tries_++ > kMostTries || other.code.empty())
			return false;
		for (uint32_t at = 0; at + 1 < other.code.size(); at++)
			if (other.code[at] == 0x0f && other.code[at + 1] == 0x05)
				syscalls.push_back(at);
		guest_.set_code(other.code, syscalls);
		other.state.regs.ip = guest_.code();
		guest_.fill(other.seed);
		if (run_natively(other.state).stop == Stop::kRunaway)
			return false;
		const auto why = differential_.learn_and_compare(other.state, other.seed, other.rounds);
		if (!why)
			return false;
		why_ = *why;
		least_ = std::move(other);
		return true;
	}

	/* Instructions become nops, half of them at once first, then ever fewer. */
	void blank()
	{
		for (size_t count = take_apart(least_.code, guest_.code()).size(); count; count /= 2) {
			const std::vector<Item> items = take_apart(least_.code, guest_.code());
			size_t offset = 0, at = 0;
			while (at < items.size()) {
				const size_t first = offset;
				bool idle = true;
				for (size_t n = 0; n < count && at < items.size(); n++, at++) {
					idle &= items[at].is_nop();
					offset += items[at].bytes.size();
				}
				if (idle)
					continue;
				std::vector<uint8_t> code = least_.code;
				std::fill(code.begin() + long(first), code.begin() + long(offset), kNop);
				try_code(std::move(code));
			}
		}
	}

	/* A syscall as early as possible, and nothing behind it. */
	void cut()
	{
		size_t end = 0;

		for (const Item &item : take_apart(least_.code, guest_.code())) {
			end += item.bytes.size();
			std::vector<uint8_t> code(least_.code.begin(), least_.code.begin() + long(end));
			code.insert(code.end(), {0x0f, 0x05});
			if (code.size() < least_.code.size() && try_code(std::move(code)))
				return;
		}
	}

	void close_up()
	{
		if (auto code = put_together(take_apart(least_.code, guest_.code()), guest_.code()))
			try_code(std::move(*code));
	}

	/* What of the state does not matter is zero. */
	void still()
	{
		const State zero;

		for (unsigned int i = 0; i < 16; i++) {
			if (i == 4 || !least_.state.gpr(i))
				continue;
			FailingCase other = least_;
			other.state.gpr(i) = 0;
			try_case(std::move(other));
		}
		FailingCase other = least_;
		other.state.regs.flags = 0x202;
		try_case(other);
		other = least_;
		memcpy(other.state.vectors, zero.vectors, sizeof(zero.vectors));
		try_case(other);
		other = least_;
		other.rounds = 1;
		try_case(other);
	}

	/* As golden code ends, though a trap ends a run just as well. */
	void end()
	{
		std::vector<uint8_t> code = least_.code;

		code.insert(code.end(), {0x0f, 0x05});
		try_code(std::move(code));
	}

	std::optional<Shrunk> run()
	{
		if (!try_case(least_))
			return {};
		size_t before;
		do {
			before = least_.code.size();
			cut();
			blank();
			close_up();
		} while (least_.code.size() < before);
		still();
		/* What the state was needed for may not be needed now. */
		blank();
		close_up();
		end();
		try_case(least_);

		Shrunk shrunk{least_, 0, why_, {}};
		shrunk.block = block(shrunk.instructions);
		return shrunk;
	}

private:
	/* As a golden file has them, but for the dump: UB_BLESS=1 writes that. */
	std::string block(unsigned int &instructions)
	{
		std::string text = "# " + why_.substr(0, why_.find('\n')) + "\n# from";
		char word[64];
		csh capstone;
		cs_insn *insns;

		for (unsigned int i = 0; i < 16; i++)
			if (least_.state.gpr(i)) {
				snprintf(word, sizeof(word), " %s=%#lx", kRegisterNames[i], least_.state.gpr(i));
				text += word;
			}
		snprintf(word, sizeof(word), " flags=%#lx memory=%#lx", least_.state.regs.flags, least_.seed);
		text += std::string(word) + "\n";
		if (cs_open(CS_ARCH_X86, CS_MODE_64, &capstone) == CS_ERR_OK) {
			instructions = unsigned(cs_disasm(capstone, least_.code.data(), least_.code.size(), kGoldenAt, 0, &insns));
			for (unsigned int i = 0; i < instructions; i++)
				text += std::string("#   ") + insns[i].mnemonic + (insns[i].op_str[0] ? " " : "") + insns[i].op_str + "\n";
			if (instructions)
				cs_free(insns, instructions);
			cs_close(&capstone);
		}
		text += "guest";
		for (uint8_t byte : least_.code) {
			snprintf(word, sizeof(word), " %02x", byte);
			text += word;
		}
		return text + "\n";
	}

	Guest &guest_;
	Differential &differential_;
	FailingCase least_;
	std::string why_;
	unsigned int tries_ = 0;
};

} // namespace

std::optional<Shrunk> shrink(Guest &guest, Differential &differential, FailingCase failing)
{
	const Tally tally = differential.tally;
	const std::string rejected = differential.last_rejected;
	const std::vector<uint8_t> code(guest.code_bytes().begin(), guest.code_bytes().end());
	std::vector<uint32_t> syscalls;

	auto shrunk = Shrinker(guest, differential, std::move(failing)).run();
	for (uint32_t at = 0; at + 1 < code.size(); at++)
		if (code[at] == 0x0f && code[at + 1] == 0x05)
			syscalls.push_back(at);
	guest.set_code(code, syscalls);
	differential.tally = tally;
	differential.last_rejected = rejected;
	return shrunk;
}

std::string shrunk_block(Guest &guest, Differential &differential, const State &state, uint64_t seed, unsigned int rounds)
{
	const auto code = guest.code_bytes();
	const auto shrunk = shrink(guest, differential, {{code.begin(), code.end()}, state, seed, rounds});

	return shrunk ? "\nshrunk, as a golden file's block:\n" + shrunk->block : "\nit does not fail again";
}

} // namespace host
