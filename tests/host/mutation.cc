// SPDX-License-Identifier: GPL-2.0
/* Mutants of images: see mutation.h. */
#include "mutation.h"

#include <cstring>

#include <Zydis/Zydis.h>

#include "guest.h"
#include "host.h"
#include "sfi/frame.h"

namespace host {

const char *const kChangeNames[] = {"drop", "move", "target", "register", "opcode", "displacement", "immediate", "prefix",
				    "entry", "exits"};
const char *const kSubjectNames[] = {"guard", "stack", "access", "slot", "branch", "poll", "stub", "other"};

namespace {

constexpr int kNone = -1;

struct Item {
	std::vector<uint8_t> bytes;
	int target = kNone;	/* the item a branch, or a poll's exit, leads to */
	uint8_t relative_at = 0, relative_bytes = 0;
	bool leaves = false;	/* … and it leads to leave */
	int32_t off = 0;	/* … past its target's start */
	int stub = kNone;	/* of its fault entry */
	Subject subject = Subject::kOther;
	ZydisDecodedInstruction decoded;
};

uint32_t length_of(const Item &item)
{
	return uint32_t(item.bytes.size());
}

class Mutator {
public:
	Mutator(const KeptImage &image, unsigned int thousandth, uint64_t seed, const std::function<void(const Mutant &)> &take)
		: image_(image), thousandth_(thousandth), random_(seed), take_(take)
	{
		take_apart();
	}

	/* What is taken apart and put together is what it was. */
	bool is_whole() const
	{
		bool changed = false;
		Mutator same(image_, 0, 0, [&](const Mutant &) { changed = true; });
		return same.emit(same.items_, Change::kChanges, 0, "nothing") && !changed;
	}

	void run()
	{
		/* The first one is the landing pad. */
		for (size_t i = 0; i < items_.size(); i++) {
			drop(i);
			move(i);
			target(i);
			bits(i);
			registers(i);
			values(i);
			prefixes(i);
			entry(i);
		}
		exits();
	}

private:
	void take_apart();
	Subject subject_of(const Item &item, const ZydisDecodedOperand *operands) const;
	bool emit(const std::vector<Item> &items, Change change, size_t which, const char *what);
	void emit_image(KeptImage &&image, Change change, Subject subject, uint32_t offset, const char *what);

	bool sampled() { return random_.below(1000) < thousandth_; }
	void with(size_t i, Change change, const char *what, const std::function<void(Item &)> &edit)
	{
		std::vector<Item> items = items_;
		edit(items[i]);
		emit(items, change, i, what);
	}

	void drop(size_t i);
	void move(size_t i);
	void target(size_t i);
	void bits(size_t i);
	void registers(size_t i);
	void values(size_t i);
	void prefixes(size_t i);
	void entry(size_t i);
	void exits();

	const KeptImage &image_;
	unsigned int thousandth_;
	Random random_;
	std::function<void(const Mutant &)> take_;
	std::vector<Item> items_;
};

Subject Mutator::subject_of(const Item &item, const ZydisDecodedOperand *operands) const
{
	const ZydisDecodedInstruction &decoded = item.decoded;
	bool mask = false, slot = false, access = false, stack = false;

	for (uint8_t i = 0; i < decoded.operand_count_visible; i++) {
		const auto &operand = operands[i];
		if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
			mask |= i && operand.reg.value == ZYDIS_REGISTER_R10;
			stack |= operand.reg.value == ZYDIS_REGISTER_R11 && operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		}
		if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type == ZYDIS_MEMOP_TYPE_MEM) {
			slot |= operand.mem.base == ZYDIS_REGISTER_RSP;
			access |= operand.mem.base != ZYDIS_REGISTER_RSP;
			mask |= operand.mem.base == ZYDIS_REGISTER_RSP && operand.mem.disp.value == UB_FRAME_MASK;
		}
	}
	/* What is masked is a register: in `and [r9], r10` r10 holds the user's own. */
	const bool masks = (decoded.mnemonic == ZYDIS_MNEMONIC_AND || decoded.mnemonic == ZYDIS_MNEMONIC_PDEP) &&
			   operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
	const bool loads_mask = decoded.mnemonic == ZYDIS_MNEMONIC_MOV && slot;
	if (mask && (masks || loads_mask))
		return Subject::kGuard;
	if (stack)
		return Subject::kStack;
	return access ? Subject::kAccess : slot ? Subject::kSlot : Subject::kOther;
}

void Mutator::take_apart()
{
	std::vector<int> item_at(image_.bytes.size() + 1, kNone);
	std::vector<uint32_t> targets;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (const Start &start : verified_starts(image_.image())) {
		Item item;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		const uint8_t *bytes = &image_.bytes[start.offset];
		uint32_t to = 0;

		item_at[start.offset] = int(items_.size());
		item.bytes.assign(bytes, bytes + start.length);
		ZydisDecoderDecodeFull(&decoder, bytes, start.length, &item.decoded, operands);
		if (start.exit) {
			item.subject = Subject::kStub;
			item.relative_at = 7, item.relative_bytes = 4;
			item.leaves = true;
		} else if (start.poll) {
			item.subject = Subject::kPoll;
			item.relative_at = start.length == 18 ? 14 : 31, item.relative_bytes = 4;
		} else if (item.decoded.raw.imm[0].is_relative) {
			item.subject = Subject::kBranch;
			item.relative_at = item.decoded.raw.imm[0].offset;
			item.relative_bytes = item.decoded.raw.imm[0].size / 8;
		} else {
			item.subject = subject_of(item, operands);
		}
		if (item.relative_bytes && !item.leaves) {
			int32_t relative;
			memcpy(&relative, bytes + item.relative_at, 4 <= item.relative_bytes ? 4 : 1);
			if (item.relative_bytes == 1)
				relative = int8_t(bytes[item.relative_at]);
			to = start.offset + item.relative_at + item.relative_bytes + uint32_t(relative);
		}
		targets.push_back(to);
		items_.push_back(std::move(item));
	}
	for (size_t i = 0; i < items_.size(); i++)
		if (items_[i].relative_bytes && !items_[i].leaves)
			items_[i].target = item_at[targets[i]];
	for (const auto &entry : image_.faults)
		items_[size_t(item_at[entry.instruction])].stub = item_at[entry.stub];
}

/* A change that changes nothing makes no mutant. */
void Mutator::emit_image(KeptImage &&image, Change change, Subject subject, uint32_t offset, const char *what)
{
	const auto same_entry = [](const ub::sfi::FaultEntry &a, const ub::sfi::FaultEntry &b) {
		return a.instruction == b.instruction && a.stub == b.stub;
	};
	const auto same_exit = [](const ub::sfi::Exit &a, const ub::sfi::Exit &b) { return a.ip == b.ip; };
	if (image.bytes == image_.bytes &&
	    std::equal(image.faults.begin(), image.faults.end(), image_.faults.begin(), image_.faults.end(), same_entry) &&
	    std::equal(image.exits.begin(), image.exits.end(), image_.exits.begin(), image_.exits.end(), same_exit))
		return;
	take_({change, subject, offset, what, std::move(image)});
}

/* Puts the items together; false when a short branch does not reach. */
bool Mutator::emit(const std::vector<Item> &items, Change change, size_t which, const char *what)
{
	std::vector<uint32_t> offsets;
	KeptImage image{image_.origin, image_.address, {}, {}, image_.exits};
	uint32_t at = 0;

	for (const Item &item : items) {
		offsets.push_back(at);
		at += length_of(item);
	}
	const uint64_t leave = contract().leave.value;
	for (size_t i = 0; i < items.size(); i++) {
		const Item &item = items[i];
		image.bytes.insert(image.bytes.end(), item.bytes.begin(), item.bytes.end());
		if (item.stub != kNone)
			image.faults.push_back({offsets[i], offsets[size_t(item.stub)]});
		if (item.leaves || item.target != kNone) {
			const uint32_t field = offsets[i] + item.relative_at, end = field + item.relative_bytes;
			const int64_t to = item.leaves ? int64_t(leave - image.address.value)
						       : int64_t(offsets[size_t(item.target)]);
			const int64_t relative = to + item.off - int64_t(end);
			if (relative != (item.relative_bytes == 1 ? int64_t(int8_t(relative)) : int64_t(int32_t(relative))))
				return false;
			memcpy(&image.bytes[field], &relative, item.relative_bytes);
		}
	}
	emit_image(std::move(image), change, items_[which].subject, offsets[which], what);
	return true;
}

void Mutator::drop(size_t i)
{
	with(i, Change::kDrop, "nops in its place", [](Item &item) {
		std::fill(item.bytes.begin(), item.bytes.end(), 0x90);
		item.target = kNone;
		item.leaves = false;
	});
	/* Without its bytes: branches to it lead to the next one. */
	with(i, Change::kDrop, "gone", [](Item &item) {
		item.bytes.clear();
		item.target = kNone;
		item.leaves = false;
		item.stub = kNone;
	});
}

void Mutator::move(size_t i)
{
	if (i + 1 >= items_.size())
		return;
	/* With its fault entry; branches lead to the places, not to the instructions. */
	std::vector<Item> items = items_;
	std::swap(items[i], items[i + 1]);
	emit(items, Change::kMove, i, "behind the next one");
}

void Mutator::target(size_t i)
{
	const Item &item = items_[i];

	if (!item.relative_bytes)
		return;
	const auto elsewhere = [&](const char *what, int target, int32_t off, bool leaves) {
		with(i, Change::kTarget, what, [&](Item &changed) {
			changed.target = target;
			changed.off = off;
			changed.leaves = leaves;
			if (leaves)
				changed.target = kNone;
		});
	};
	const int last = int(items_.size()) - 1;
	elsewhere("into an instruction", item.leaves ? 0 : item.target, 1, false);
	elsewhere("to before its target", item.leaves ? 0 : item.target, -1, item.leaves);
	elsewhere("to itself", int(i), 0, false);
	elsewhere("to the landing pad", 0, 0, false);
	elsewhere("past the end", last, int32_t(length_of(items_.back())), false);
	elsewhere("before the start", 0, -64, false);
	elsewhere("to leave", 0, 0, true);
	elsewhere("past leave", 0, 1, true);
	for (int n = 0; n < 4; n++)
		elsewhere("to another instruction", int(random_.below(items_.size())), 0, false);
	for (int to = std::max(0, int(i) - 3); to <= std::min(last, int(i) + 3); to++)
		elsewhere("to one near it", to, 0, false);
}

/* Each bit of what is neither displacement nor immediate. */
void Mutator::bits(size_t i)
{
	const Item &item = items_[i];
	const auto &raw = item.decoded.raw;
	const bool idiom = item.subject == Subject::kPoll || item.subject == Subject::kStub;

	for (size_t at = 0; at < item.bytes.size(); at++) {
		const bool displacement = !idiom && raw.disp.size && at >= raw.disp.offset &&
					  at < size_t(raw.disp.offset + raw.disp.size / 8);
		const bool immediate = !idiom && raw.imm[0].size && at >= raw.imm[0].offset &&
				       at < size_t(raw.imm[0].offset + raw.imm[0].size / 8);
		const size_t opcode_end = raw.modrm.offset ? raw.modrm.offset : item.bytes.size();
		const bool opcode = !idiom && at + 1 == opcode_end;
		const Change change = displacement ? Change::kDisplacement
				      : immediate  ? Change::kImmediate
				      : opcode     ? Change::kOpcode
						   : Change::kRegister;
		for (int b = 0; b < 8; b++) {
			if (!sampled())
				continue;
			with(i, change, "a bit", [&](Item &changed) {
				changed.bytes[at] ^= uint8_t(1 << b);
				/* The field, not what it leads to. */
				if (immediate)
					changed.target = kNone;
			});
		}
	}
}

/* Each register in each place that names one: of guards all. */
void Mutator::registers(size_t i)
{
	const Item &item = items_[i];
	const auto &raw = item.decoded.raw;
	const bool idiom = item.subject == Subject::kPoll || item.subject == Subject::kStub;
	const bool vex = item.decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && raw.vex.size == 3;
	const bool rex = item.decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && item.decoded.attributes & ZYDIS_ATTRIB_HAS_REX;

	if (idiom || !raw.modrm.offset || (!vex && !rex))
		return;
	const auto set = [](uint8_t &byte, int at, int count, int value) {
		const int mask = ((1 << count) - 1) << at;
		byte = uint8_t((byte & ~mask) | (value << at & mask));
	};
	for (int r = 0; r < 16; r++)
		for (int place = 0; place < (vex ? 3 : 2); place++) {
			if (item.subject != Subject::kGuard && random_.below(1000) >= 4 * thousandth_)
				continue;
			with(i, Change::kRegister, "another one", [&](Item &changed) {
				uint8_t &extension = changed.bytes[vex ? raw.vex.offset + 1u : raw.rex.offset];
				const int high = vex ? !(r >> 3) : r >> 3;	/* VEX has them inverted */
				if (place == 0) {
					set(changed.bytes[raw.modrm.offset], 3, 3, r & 7);
					set(extension, vex ? 7 : 2, 1, high);
				} else if (place == 1) {
					set(changed.bytes[raw.modrm.offset], 0, 3, r & 7);
					set(extension, vex ? 5 : 0, 1, high);
				} else {
					set(changed.bytes[raw.vex.offset + 2u], 3, 4, ~r);
				}
			});
		}
}

/* Values at which something changes, in displacements and immediates. */
void Mutator::values(size_t i)
{
	static constexpr int64_t kValues[] = {0, 8, 16, 24, 40, 48, 56, 64, 72, 80, -8, -64, 0x7fffffc0, 0x7fffffc1, 0x7fffffff,
					      -0x80000000ll, -0x200000, -0x1fffc0, -0x1fffc1, 0x100000, 0x100001, -0x100001,
					      0x40000000, 46, 47, 63};
	const auto &raw = items_[i].decoded.raw;

	if (items_[i].subject == Subject::kPoll || items_[i].subject == Subject::kBranch)
		return;
	for (int64_t value : kValues) {
		if (raw.disp.size && random_.below(1000) < 4 * thousandth_)
			with(i, Change::kDisplacement, "another value", [&](Item &item) {
				memcpy(&item.bytes[raw.disp.offset], &value, raw.disp.size / 8);
			});
		if (raw.imm[0].size && random_.below(1000) < 4 * thousandth_)
			with(i, Change::kImmediate, "another value", [&](Item &item) {
				memcpy(&item.bytes[raw.imm[0].offset], &value, raw.imm[0].size / 8);
			});
	}
}

void Mutator::prefixes(size_t i)
{
	static constexpr uint8_t kPrefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x64, 0x65, 0x2e, 0x3e, 0x36,
						0x40, 0x41, 0x42, 0x44, 0x48, 0x49, 0x4c, 0x4f};

	for (uint8_t prefix : kPrefixes)
		if (random_.below(1000) < 8 * thousandth_)
			with(i, Change::kPrefix, "one more", [&](Item &item) {
				item.bytes.insert(item.bytes.begin(), prefix);
				item.relative_at++;
			});
	if (items_[i].decoded.raw.prefix_count && items_[i].bytes.size() > 1)
		with(i, Change::kPrefix, "without its first byte", [&](Item &item) {
			item.bytes.erase(item.bytes.begin());
			item.relative_at--;
		});
}

void Mutator::entry(size_t i)
{
	const int stub = items_[i].stub;

	if (stub == kNone)
		return;
	with(i, Change::kEntry, "gone", [](Item &item) { item.stub = kNone; });
	with(i, Change::kEntry, "to its own instruction", [&](Item &item) { item.stub = int(i); });
	with(i, Change::kEntry, "to the landing pad", [](Item &item) { item.stub = 0; });
	with(i, Change::kEntry, "to behind its stub", [&](Item &item) { item.stub = std::min(stub + 1, int(items_.size()) - 1); });
	if (i + 1 < items_.size()) {
		std::vector<Item> items = items_;
		std::swap(items[i].stub, items[i + 1].stub);
		emit(items, Change::kEntry, i, "of the next one");
	}
	for (int off : {-1, 1, 4096, -1 << 30}) {
		KeptImage image = image_;
		for (auto &entry : image.faults)
			if (entry.stub && &entry - image.faults.data() == std::count_if(items_.begin(), items_.begin() + long(i),
								[](const Item &item) { return item.stub != kNone; }))
				entry.instruction += uint32_t(off);
		emit_image(std::move(image), Change::kEntry, items_[i].subject, 0, "not at an instruction");
	}
}

void Mutator::exits()
{
	for (uint64_t ip : {uint64_t(1) << 47, ~uint64_t(0), uint64_t(0xffffffff81000000), uint64_t(1) << 63}) {
		KeptImage image = image_;
		image.exits[random_.below(image.exits.size())].ip = ub::UserAddr(ip);
		emit_image(std::move(image), Change::kExits, Subject::kOther, 0, "outside of the user half");
	}
	KeptImage image = image_;
	image.exits.pop_back();
	emit_image(std::move(image), Change::kExits, Subject::kOther, 0, "one less");
	for (size_t count : {size_t(1), size_t(4), image_.bytes.size() / 2, image_.bytes.size() - 1, image_.bytes.size() - 5}) {
		image = image_;
		if (count > image.bytes.size())
			continue;
		image.bytes.resize(count);
		emit_image(std::move(image), Change::kExits, Subject::kOther, 0, "the image cut off");
	}
}

} // namespace

bool mutate(const KeptImage &image, unsigned int thousandth, uint64_t seed, const std::function<void(const Mutant &)> &take)
{
	Mutator mutator(image, thousandth, seed, take);

	mutator.run();
	return mutator.is_whole();
}

} // namespace host
