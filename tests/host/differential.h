/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The differential harness: the same guest code, from the same state, once on the CPU
 * and once as an image. Where an image is left before the gap's end the thread goes on
 * natively from the exit's state, as it would in user mode, so an exit that is not
 * precise shows like any other difference: in registers, flags, vectors, memory, or
 * in the signal the program would get.
 */
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest.h"
#include "host.h"
#include "translator/translate.h"

namespace host {

/* Sums over a differential test; printed at its end. */
struct Tally {
	unsigned long runs = 0;			/* comparisons made */
	unsigned long mismatches = 0;
	unsigned long images = 0;
	unsigned long guest_instructions = 0, image_bytes = 0;
	std::map<std::string, unsigned long> declined;	/* translations refused, by fault */
	std::map<std::string, unsigned long> exits;	/* by reason */
	unsigned long dead_flags = 0;	/* faults where flags that nothing reads differed */
	unsigned long spurious = 0;	/* exits for exceptions that did not happen natively */
	unsigned long not_followed = 0;	/* branches that left again after they were learned */

	void add(const Tally &other);
	std::string text() const;
};

/* A translation in the harness's own code memory, published to the fault table. */
class Translation {
public:
	~Translation();
	Translation(const Translation &) = delete;
	Translation &operator=(const Translation &) = delete;

	uint64_t start() const { return start_; }
	uint64_t entry() const { return entry_; }
	uint32_t guest_instructions() const { return guest_instructions_; }
	size_t bytes() const { return bytes_; }
	const std::vector<ub::sfi::Exit> &exits() const { return exits_; }

private:
	friend class Differential;
	Translation() = default;

	uint64_t start_ = 0, entry_ = 0;
	uint32_t guest_instructions_ = 0;
	size_t reserved_ = 0, bytes_ = 0;
	std::vector<ub::sfi::Exit> exits_;
};

class Differential {
public:
	explicit Differential(Guest &guest) : guest_(guest) {}

	/* Translates from `start` with what was learned; null when it is declined, which is
	 * tallied. `dump` gets the three columns if not null. */
	std::unique_ptr<Translation> translate(uint64_t start, const std::vector<ub::Observation> &learned = {},
					       std::string *dump = nullptr);

	/* Compares one run of `translation` from `state` with guest memory filled from `seed`.
	 * Returns nothing when equal, else what differs, with the guest's bytes and the dump.
	 * Branches that left the image are added to `learned` if not null. */
	std::optional<std::string> compare(const Translation &translation, const State &state, uint64_t seed,
					   std::vector<ub::Observation> *learned = nullptr);

	/* Translates and compares, then again with what was learned, up to `rounds` times or
	 * until nothing new is. Returns the first difference. */
	std::optional<std::string> learn_and_compare(const State &state, uint64_t seed, unsigned int rounds);

	/* What is not compared: for code of one instruction, the flags that it leaves undefined if
	 * they are `live` behind it, and its results if they vary from run to run. */
	void allow(bool live, bool varies);

	/* Compares a native run from `state` with what `ours` makes of the same state and memory, which
	 * is how the code ended there. Returns as compare() does. */
	std::optional<std::string> compare_with(const State &state, uint64_t seed,
						const std::function<Ended(const State &)> &ours);

	/* What differs in registers and flags, and how the runs ended; empty when nothing does. */
	std::string registers_differ(const Ended &native, const Ended &ours, bool at_the_exit);
	Tally tally;
	ub::translator::Budget budget;	/* of its translations */
	/* Called with every image the verifier accepted, if set. */
	std::function<void(const ub::sfi::Image &)> on_image;
	/* The last image run reached the gap's end. */
	bool ran_through = false;
	/* Why the verifier refused an image, and the dump: of the last one refused. */
	std::string last_rejected;

private:
	unsigned long free_flags_ = 0;
	uint16_t free_registers_ = 0;
	std::string rejected_dump(uint64_t start, const std::vector<ub::Observation> &learned, const std::string &name);
	std::string describe(uint64_t start, const State &state, const Ended &native, const Ended &ours,
			     const std::string &why);
	Ended run_native_side(const State &state, uint64_t seed);
	std::string difference(const Ended &native, const Ended &ours, bool at_the_exit);

	Guest &guest_;
	std::vector<uint8_t> native_memory_, native_tls_;
};

const char *reason_key(ub::sfi::ExitReason reason);

/* Do the flags in `mask` reach a reader from the code at `ip` on, as far as it can be seen?
 * If not, a program whose flags differ there can hardly tell. */
bool flags_read_at(uint64_t ip, unsigned long mask);

} // namespace host
