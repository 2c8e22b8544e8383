// SPDX-License-Identifier: GPL-2.0
/* The differential harness: see differential.h. */
#include "differential.h"

#include <cstdarg>
#include <cstdio>

#include <Zydis/Zydis.h>

extern "C" {
/* Guest code may reach its first 64 bytes by fs:[disp32], and with a vector what follows; compared
 * like the rest of memory. */
alignas(64) thread_local unsigned char ub_tls_scratch[256];
}

namespace host {
namespace {

using ub::sfi::Exit;
using ub::sfi::ExitReason;

struct Lines final : ub::translator::DumpSink {
	std::string text;
	void line(const char *one) override { text += one, text += '\n'; }
};

std::string format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));
std::string format(const char *pattern, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, pattern);
	vsnprintf(text, sizeof(text), pattern, arguments);
	va_end(arguments);
	return text;
}

/* The arena of all translations: they run one after the other. */
ub::Arena fresh_arena()
{
	static std::unique_ptr<char[]> memory(new char[ub::translator::kArenaBytes]);
	return ub::Arena(memory.get(), ub::translator::kArenaBytes);
}

void fill_tls(uint64_t seed)
{
	Random random(~seed);
	for (size_t i = 0; i < sizeof(ub_tls_scratch); i += 8) {
		const uint64_t word = random.next();
		memcpy(ub_tls_scratch + i, &word, 8);
	}
}

/* Zydis's masks have the flags at their places in EFLAGS. */
bool always_writes_flags(const ZydisDecodedInstruction &instruction, const ZydisDecodedOperand *operands)
{
	switch (instruction.mnemonic) {
	case ZYDIS_MNEMONIC_SHL: case ZYDIS_MNEMONIC_SHR: case ZYDIS_MNEMONIC_SAR: case ZYDIS_MNEMONIC_ROL:
	case ZYDIS_MNEMONIC_ROR: case ZYDIS_MNEMONIC_RCL: case ZYDIS_MNEMONIC_RCR:
		return operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[1].imm.value.u & 0x1f;
	case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD:
		return operands[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[2].imm.value.u & 0x1f;
	default:
		return !(instruction.attributes & (ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE));
	}
}

bool decode(uint64_t ip, ZydisDecodedInstruction &instruction, ZydisDecodedOperand *operands)
{
	ZydisDecoder decoder;
	unsigned char bytes[15];
	const unsigned long count = ubk_guest_read(nullptr, ip, bytes, sizeof(bytes));

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, count, &instruction, operands));
}

/* Is any of these flags read before it is written, on a path of up to `budget` instructions
 * from `ip`? Where a path is lost (returns, indirect branches) nothing is found. */
bool read_from(uint64_t ip, unsigned long mask, unsigned int budget)
{
	for (; budget; budget--) {
		ZydisDecodedInstruction instruction;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		if (!decode(ip, instruction, operands))
			return false;
		/* It stores them in r11, and the kernel keeps them. */
		if (instruction.meta.category == ZYDIS_CATEGORY_SYSCALL)
			return true;
		if (const ZydisAccessedFlags *flags = instruction.cpu_flags) {
			if (flags->tested & mask)
				return true;
			if (always_writes_flags(instruction, operands))
				mask &= ~static_cast<unsigned long>(flags->modified | flags->set_0 | flags->set_1 |
								   flags->undefined);
		}
		if (!mask)
			return false;
		ip += instruction.length;
		switch (instruction.meta.category) {
		case ZYDIS_CATEGORY_UNCOND_BR:
		case ZYDIS_CATEGORY_CALL:
			if (operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
				return false;
			ip += operands[0].imm.value.u;
			break;
		case ZYDIS_CATEGORY_COND_BR:
			if (read_from(ip + operands[0].imm.value.u, mask, budget / 2))
				return true;
			break;
		case ZYDIS_CATEGORY_RET:
		case ZYDIS_CATEGORY_INTERRUPT:
			return false;
		default:
			break;
		}
	}
	return false;
}

} // namespace

const char *reason_key(ExitReason reason)
{
	switch (reason) {
#define EXIT_REASON(name, key) case ExitReason::name: return #key;
#include "exit_reasons.inc"
#undef EXIT_REASON
	}
	return "?";
}

bool flags_read_at(uint64_t ip, unsigned long mask)
{
	return read_from(ip, mask, 64);
}

void Differential::allow(bool live, bool varies)
{
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

	free_flags_ = free_registers_ = 0;
	if (!decode(guest_.code(), instruction, operands))
		return;
	if (live && instruction.cpu_flags)
		free_flags_ = instruction.cpu_flags->undefined | (varies ? instruction.cpu_flags->modified : 0);
	for (uint8_t i = 0; varies && i < instruction.operand_count; i++) {
		const auto &operand = operands[i];
		if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || !(operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand.reg.value);
		if (whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15)
			free_registers_ |= uint16_t(1u << (whole - ZYDIS_REGISTER_RAX));
	}
}

void Tally::add(const Tally &other)
{
	runs += other.runs, mismatches += other.mismatches, images += other.images;
	guest_instructions += other.guest_instructions, image_bytes += other.image_bytes;
	dead_flags += other.dead_flags, not_followed += other.not_followed, spurious += other.spurious;
	for (const auto &[name, count] : other.declined)
		declined[name] += count;
	for (const auto &[name, count] : other.exits)
		exits[name] += count;
}

std::string Tally::text() const
{
	std::string text = format("%lu comparisons, %lu mismatches; %lu images of %lu guest instructions, %lu bytes",
				  runs, mismatches, images, guest_instructions, image_bytes);

	for (const auto &[name, count] : declined)
		text += format("; declined %s %lu", name.c_str(), count);
	for (const auto &[name, count] : exits)
		text += format("; exits %s %lu", name.c_str(), count);
	return text + format("; dead flags at faults %lu; spurious faults %lu; learned in vain %lu", dead_flags, spurious,
			     not_followed);
}

Translation::~Translation()
{
	if (!entry_)
		return;
	ubk_faults_retire(entry_, bytes_);
	ubk_code_release(entry_, reserved_);
}

std::unique_ptr<Translation> Differential::translate(uint64_t start, const std::vector<ub::Observation> &learned,
						     std::string *dump)
{
	std::unique_ptr<Translation> made(new Translation);
	const uint32_t bytes = ub::sfi::kImageMaxBytes;
	const uint64_t code = ubk_code_reserve(bytes);
	ub::translator::Request request;
	ub::Arena arena = fresh_arena();
	ub::sfi::Refusal refusal;
	Lines lines;

	request.start = ub::UserAddr(start);
	request.learned = learned;
	request.budget = budget;
	made->start_ = start;
	made->entry_ = code;
	made->reserved_ = bytes;
	auto result = ub::translator::translate(request, {ub::KernelAddr(code), bytes}, contract(), arena,
						dump ? &lines : nullptr, &refusal);
	if (dump)
		*dump = lines.text;
	if (!result) {
		std::string name = key(result.fault());
		if (result.fault() == ub::Fault::kRejected) {
			name += format(" (offset %u: %s)", refusal.offset, refusal.why ? refusal.why : "?");
			if (!dump)
				last_rejected = rejected_dump(start, learned, name);
		}
		tally.declined[name]++;
		return nullptr;
	}

	const ub::sfi::Image &image = result->verified.image();
	if (on_image)
		on_image(image);
	std::vector<ubk_fault_entry> faults;
	for (const auto &entry : image.faults)
		faults.push_back({entry.instruction, entry.stub});
	made->exits_.assign(image.exits.begin(), image.exits.end());
	made->bytes_ = image.bytes.size();
	made->guest_instructions_ = result->guest_instructions;
	ubk_code_trim(code, bytes, made->bytes_);
	made->reserved_ = made->bytes_;
	if (ubk_faults_publish(code, faults.data(), faults.size()))
		return nullptr;
	tally.images++;
	tally.guest_instructions += made->guest_instructions_;
	tally.image_bytes += made->bytes_;
	return made;
}

std::string Differential::rejected_dump(uint64_t start, const std::vector<ub::Observation> &learned,
					const std::string &name)
{
	const Tally before = tally;
	std::string dump;

	translate(start, learned, &dump);
	tally = before;
	return name + "\n" + dump;
}

std::string Differential::registers_differ(const Ended &native, const Ended &ours, bool at_the_exit)
{
	const ub_regs &a = native.state.regs, &b = ours.state.regs;
	std::string vectors;

	if (native.stop != ours.stop)
		return format("ended differently (%d, %d)", int(native.stop), int(ours.stop));
	if (a.ip != b.ip)
		return format("ip %#lx, ours %#lx", a.ip, b.ip);
	if (native.signal != ours.signal || native.code != ours.code || native.address != ours.address)
		return format("signal %d code %d address %#lx, ours %d %d %#lx", native.signal, native.code,
			      native.address, ours.signal, ours.code, ours.address);
	for (unsigned int i = 0; i < 16; i++)
		if (native.state.gpr(i) != ours.state.gpr(i) && !(free_registers_ >> i & 1))
			return format("%s %#lx, ours %#lx", kRegisterNames[i], native.state.gpr(i), ours.state.gpr(i));
	if (const unsigned long flags = (a.flags ^ b.flags) & kUserFlags & ~free_flags_) {
		if (!at_the_exit || flags_read_at(a.ip, flags))
			return format("flags %#lx, ours %#lx", a.flags & kUserFlags, b.flags & kUserFlags);
		tally.dead_flags++;
	}
	if (!vectors_equal(native.state, ours.state, &vectors))
		return vectors;
	return {};
}

std::string Differential::difference(const Ended &native, const Ended &ours, bool at_the_exit)
{
	const std::string why = registers_differ(native, ours, at_the_exit);

	if (!why.empty())
		return why;
	if (const uint64_t at = guest_.first_difference(native_memory_))
		return format("memory at %#lx", at);
	return memcmp(native_tls_.data(), ub_tls_scratch, sizeof(ub_tls_scratch)) ? "memory at fs:" : "";
}

std::string Differential::describe(uint64_t start, const State &state, const Ended &native, const Ended &ours,
				   const std::string &why)
{
	std::string text = why + format("\nguest code at %#lx:", start);
	std::string dump;

	unsigned char bytes[64];
	const unsigned long count = ubk_guest_read(nullptr, start, bytes, sizeof(bytes));
	for (unsigned long i = 0; i < count; i++)
		text += format(" %02x", bytes[i]);
	text += "\n             before            native            ours\n";
	for (unsigned int i = 0; i < 16; i++)
		text += format("  %-6s %16lx  %16lx  %16lx\n", kRegisterNames[i], state.gpr(i), native.state.gpr(i),
			       ours.state.gpr(i));
	text += format("  %-6s %16lx  %16lx  %16lx\n", "flags", state.regs.flags, native.state.regs.flags,
		       ours.state.regs.flags);
	text += format("  %-6s %16lx  %16lx  %16lx\n", "ip", state.regs.ip, native.state.regs.ip, ours.state.regs.ip);

	const Tally before = tally;
	translate(start, {}, &dump);
	tally = before;
	return text + dump;
}

/* Leaves memory as both sides begin with it. */
Ended Differential::run_native_side(const State &state, uint64_t seed)
{
	tally.runs++;
	guest_.fill(seed);
	fill_tls(seed);
	const Ended native = run_natively(state);
	guest_.snapshot(native_memory_);
	native_tls_.assign(ub_tls_scratch, ub_tls_scratch + sizeof(ub_tls_scratch));

	guest_.fill(seed);
	fill_tls(seed);
	return native;
}

std::optional<std::string> Differential::compare_with(const State &state, uint64_t seed,
						      const std::function<Ended(const State &)> &run)
{
	const Ended native = run_native_side(state, seed);
	const Ended ours = run(state);
	const std::string why = difference(native, ours, ours.stop == Stop::kException);

	if (why.empty())
		return std::nullopt;
	tally.mismatches++;
	return describe(state.regs.ip, state, native, ours, why);
}

std::optional<std::string> Differential::compare(const Translation &translation, const State &state, uint64_t seed,
						 std::vector<ub::Observation> *learned)
{
	const Ended native = run_native_side(state, seed);
	Ended ours;

	ran_through = false;
	ours.state = state;
	uint64_t target = 0;
	const unsigned int number = run_image(ours.state, translation.entry(), &target);
	if (number >= translation.exits().size()) {
		tally.mismatches++;
		return describe(translation.start(), state, native, ours, format("exit number %u", number));
	}

	const Exit &exit = translation.exits()[number];
	const bool faulted = exit.reason == ExitReason::kFault;
	ours.state.regs.ip = exit.ip.value;
	tally.exits[reason_key(exit.reason)]++;
	ran_through = exit.reason == ExitReason::kSyscall;
	if (learned && exit.reason == ExitReason::kCold)
		learned->push_back({exit.from, exit.to});
	if (learned && exit.reason == ExitReason::kTarget)
		learned->push_back({exit.from, ub::UserAddr(target)});
	if (exit.reason == ExitReason::kSyscall) {
		ours.stop = Stop::kSyscall;
	} else {
		ours = run_natively(ours.state);
		if (faulted && (ours.stop != Stop::kException || ours.state.regs.ip != exit.ip.value))
			tally.spurious++;
	}

	const bool at_the_exit = exit.reason != ExitReason::kSyscall && ours.stop == Stop::kException &&
				 ours.state.regs.ip == exit.ip.value;
	const std::string why = difference(native, ours, at_the_exit);
	if (why.empty())
		return std::nullopt;
	tally.mismatches++;
	return describe(translation.start(), state, native, ours,
			why + format(" (left by exit %u, %s)", number, reason_key(exit.reason)));
}

std::optional<std::string> Differential::learn_and_compare(const State &state, uint64_t seed, unsigned int rounds)
{
	std::vector<ub::Observation> learned;

	for (unsigned int round = 0; round < rounds; round++) {
		const size_t known = learned.size();
		const auto translation = translate(state.regs.ip, learned);
		if (!translation)
			return std::nullopt;
		if (auto why = compare(*translation, state, seed, &learned))
			return why;
		if (learned.size() == known)
			return std::nullopt;
		const ub::Observation &last = learned.back();
		for (size_t i = 0; i < known; i++)
			if (learned[i].from == last.from && learned[i].to == last.to) {
				tally.not_followed++;
				return std::nullopt;
			}
	}
	return std::nullopt;
}

} // namespace host
