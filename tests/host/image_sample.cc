// SPDX-License-Identifier: GPL-2.0
/* Accepted images: see image_sample.h. */
#include "image_sample.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "differential.h"
#include "functions.h"
#include "instance.h"
#include "program.h"
#include "sfi/instruction.h"

namespace host {
namespace {

class Sampler {
public:
	explicit Sampler(size_t most_bytes) : most_bytes_(most_bytes) {}

	void from_golden_files()
	{
		for (const GoldenCode &code : golden_code())
			golden(code);
	}

	void from_instances()
	{
		for (uint64_t base : {kLowBase, kHighBase}) {
			Guest guest(base);
			Differential differential(guest);
			keep_of(differential, "instance");
			for (const Instance &instance : instances()) {
				if (!fits(instance, guest) || instance.kinds & kRow)
					continue;
				std::vector<uint8_t> code(instance.begin, instance.end);
				const uint32_t syscall = uint32_t(code.size());
				code.insert(code.end(), {0x0f, 0x05});
				guest.set_code(code, {&syscall, 1});
				differential.translate(guest.code());
			}
		}
	}

	void from_functions()
	{
		Guest guest(kHighBase);
		Differential differential(guest);
		static constexpr uint8_t kEnd[] = {0x0f, 0x05};
		static constexpr uint32_t kAt = 0;

		guest.set_code(kEnd, {&kAt, 1});
		keep_of(differential, "function");
		for (const auto *functions : {ub_functions, ub_vector_functions})
			for (; functions->name; functions++) {
				Random random(1);
				State state = random_state(guest, random);
				state.gpr(7) = guest.data() + 64;
				state.gpr(6) = 64;
				state.regs.flags &= ~0x400ul;
				state.regs.ip = reinterpret_cast<uint64_t>(functions->function);
				state.regs.sp = (guest.stack_top() & ~63ul) - 0x400 - 8;
				guest.unpin();
				guest.pin(state.regs.sp, guest.code());
				differential.learn_and_compare(state, 1, 6);
			}
	}

	void from_programs(unsigned int count, const std::function<bool(const Instance &)> &wanted)
	{
		Guest guest(kHighBase);
		Differential differential(guest);

		keep_of(differential, "program");
		for (unsigned int i = 0; i < count; i++) {
			Random random(i + 77);
			const Code program = random_program(guest, random, wanted);
			guest.set_code(program.bytes(), program.syscalls());
			State state = random_state(guest, random);
			state.regs.ip = guest.code();
			state.regs.sp = guest.stack_top() - 0x400;
			differential.learn_and_compare(state, random.next(), 4);
		}
	}

	std::vector<KeptImage> kept;

private:
	void keep(const std::string &origin, const ub::sfi::Image &image)
	{
		if (image.bytes.size() <= most_bytes_)
			kept.push_back({origin, image.address, {image.bytes.begin(), image.bytes.end()},
					{image.faults.begin(), image.faults.end()}, {image.exits.begin(), image.exits.end()}});
	}

	void keep_of(Differential &differential, const char *origin)
	{
		differential.on_image = [this, origin](const ub::sfi::Image &image) { keep(origin, image); };
	}

	/* Golden code lies where no test's guest does. */
	void golden(const GoldenCode &code)
	{
		constexpr uint64_t kGuest = 0x7f0000001000;
		Guest unused(kHighBase);
		Differential differential(unused);

		keep_of(differential, "golden");
		add_guest_code(kGuest, code.bytes.data(), code.bytes.size());
		differential.translate(kGuest, code.learned);
		remove_guest_code(kGuest);
		if (!kept.empty() && kept.back().origin == "golden")
			kept.back().origin = code.file;
	}

	size_t most_bytes_;
};

} // namespace

std::vector<GoldenCode> golden_code()
{
	std::vector<std::filesystem::path> paths;
	std::vector<GoldenCode> cases;

	for (const auto &entry : std::filesystem::directory_iterator(UB_SOURCE_ROOT "/kunit/golden"))
		paths.push_back(entry.path());
	std::sort(paths.begin(), paths.end());
	for (const auto &path : paths) {
		std::ifstream file(path);
		GoldenCode code{path.filename(), {}, {}};
		const auto end = [&] {
			if (!code.bytes.empty())
				cases.push_back(code);
			code.bytes.clear();
			code.learned.clear();
		};
		for (std::string line; std::getline(file, line);) {
			std::istringstream words(line);
			std::string word;
			uint64_t a, b;
			words >> word >> std::hex;
			if (word == "guest")
				while (words >> a)
					code.bytes.push_back(uint8_t(a));
			else if (word == "learned" && words >> a >> b)
				code.learned.push_back({ub::UserAddr(a), ub::UserAddr(b)});
			else if (word == "---")
				end();
		}
		end();
	}
	return cases;
}

std::vector<KeptImage> sample_images(unsigned int programs, size_t most_bytes, const std::function<bool(const Instance &)> &wanted)
{
	Sampler sampler(most_bytes);

	sampler.from_golden_files();
	sampler.from_instances();
	sampler.from_functions();
	sampler.from_programs(programs, wanted);
	return std::move(sampler.kept);
}

std::vector<Start> verified_starts(const ub::sfi::Image &image)
{
	std::unique_ptr<char[]> memory(new char[1 << 20]);
	ub::Arena arena(memory.get(), 1 << 20);
	const ub::sfi::Contract contract = host::contract();
	ub::sfi::InstructionReader *reader = ub::sfi::start_reading(image, contract, arena);
	std::vector<Start> starts;

	for (uint32_t offset = 0; reader && offset < image.bytes.size();) {
		ub::sfi::Instruction instruction;
		if (ub::sfi::read_instruction(*reader, offset, instruction))
			return {};
		starts.push_back({offset, instruction.length, instruction.flow == ub::sfi::Flow::kPoll,
				  instruction.flow == ub::sfi::Flow::kExit});
		offset += instruction.length;
	}
	return starts;
}

} // namespace host
