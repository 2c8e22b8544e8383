/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Code: guest machine code written by a test, with labels. Only what the program
 * generator and hand-written cases need; instances of all other instructions come
 * assembled from instructions.py.
 */
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <vector>

namespace host {

enum Register : uint8_t { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

class Code {
public:
	struct Label {
		size_t index;
	};

	explicit Code(uint64_t base) : base_(base) {}

	uint64_t here() const { return base_ + bytes_.size(); }
	size_t size() const { return bytes_.size(); }
	const std::vector<uint8_t> &bytes() const { return bytes_; }
	const std::vector<uint32_t> &syscalls() const { return syscalls_; }

	Label label() { places_.push_back(0); return {places_.size() - 1}; }
	void bind(Label label) { places_[label.index] = here(); }
	uint64_t address(Label label) const { return places_[label.index]; }

	void raw(std::initializer_list<int> bytes) { for (int b : bytes) bytes_.push_back(uint8_t(b)); }
	void raw(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
	void imm32(uint64_t value) { append(value, 4); }
	void imm64(uint64_t value) { append(value, 8); }

	/* mov reg, imm64 */
	void mov(Register reg, uint64_t value) { raw({0x48 | (reg >> 3), 0xb8 | (reg & 7)}); imm64(value); }
	/* movzx reg32, reg8: keeps flags */
	void zero_extend_byte(Register reg) { raw({0x40 | (reg >> 3) * 5, 0x0f, 0xb6, 0xc0 | (reg & 7) * 9}); }
	void push(Register reg) { raw({0x40 | (reg >> 3), 0x50 | (reg & 7)}); }
	void pop(Register reg) { raw({0x40 | (reg >> 3), 0x58 | (reg & 7)}); }
	/* lea rsp, [rsp + delta]: keeps flags */
	void move_stack(int32_t delta) { raw({0x48, 0x8d, 0xa4, 0x24}); imm32(uint32_t(delta)); }
	/* lea reg, [rip + label] */
	void lea(Register reg, Label to) { raw({0x48 | (reg >> 3) * 4, 0x8d, 0x05 | (reg & 7) << 3}); relative(to); }
	/* mov dword [rip + address], value · dec dword [rip + address] */
	void store_word(uint64_t address, uint32_t value)
	{
		raw({0xc7, 0x05});
		imm32(address - (here() + 8));
		imm32(value);
	}
	void decrement_word(uint64_t address) { raw({0xff, 0x0d}); imm32(address - (here() + 4)); }

	void jmp(Label to) { raw({0xe9}); relative(to); }
	void jcc(unsigned int condition, Label to) { raw({0x0f, int(0x80 | condition)}); relative(to); }
	void call(Label to) { raw({0xe8}); relative(to); }
	void jmp_reg(Register reg) { raw({0x40 | (reg >> 3), 0xff, 0xe0 | (reg & 7)}); }
	void call_reg(Register reg) { raw({0x40 | (reg >> 3), 0xff, 0xd0 | (reg & 7)}); }
	/* call/jmp qword [rip + label] */
	void call_through(Label pointer) { raw({0xff, 0x15}); relative(pointer); }
	void jmp_through(Label pointer) { raw({0xff, 0x25}); relative(pointer); }
	void ret() { raw({0xc3}); }
	void syscall() { syscalls_.push_back(uint32_t(bytes_.size())); raw({0x0f, 0x05}); }

	/* The address of a label as data; and its distance from another's. */
	void pointer(Label to) { fixups_.push_back({bytes_.size(), to, Fixup::kAbsolute, 0}); imm64(0); }
	void distance(Label to, Label from) { fixups_.push_back({bytes_.size(), to, Fixup::kDistance, from.index}); imm32(0); }

	/* After the last instruction: fills in what referred to labels. */
	void finish()
	{
		for (const Fixup &fixup : fixups_) {
			const uint64_t to = places_[fixup.to.index], at = base_ + fixup.at;
			switch (fixup.kind) {
			case Fixup::kRelative: patch(fixup.at, to - (at + 4), 4); break;
			case Fixup::kAbsolute: patch(fixup.at, to, 8); break;
			case Fixup::kDistance: patch(fixup.at, to - places_[fixup.from], 4); break;
			}
		}
	}

private:
	struct Fixup {
		size_t at;
		Label to;
		enum { kRelative, kAbsolute, kDistance } kind;
		size_t from;
	};

	void append(uint64_t value, unsigned int count)
	{
		for (unsigned int i = 0; i < count; i++)
			bytes_.push_back(uint8_t(value >> 8 * i));
	}
	void patch(size_t at, uint64_t value, unsigned int count) { memcpy(&bytes_[at], &value, count); }
	void relative(Label to) { fixups_.push_back({bytes_.size(), to, Fixup::kRelative, 0}); imm32(0); }

	uint64_t base_;
	std::vector<uint8_t> bytes_;
	std::vector<uint32_t> syscalls_;
	std::vector<uint64_t> places_;
	std::vector<Fixup> fixups_;
};

} // namespace host
