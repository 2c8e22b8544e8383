// SPDX-License-Identifier: GPL-2.0
/*
 * The mutation suite: accepted images with one thing changed. Either the verifier refuses
 * a mutant, or the change is of a kind that is harmless for a reason given here, and the
 * oracle, which knows nothing of the verifier, finds no harm in this one either.
 *
 * Some kinds of mutants are all refused, or the verifier proves less than it says: kRefused.
 */
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>

#include "host.h"
#include "instance.h"
#include "mutation.h"
#include "oracle.h"
#include "sfi/verify.h"

namespace host {
namespace {

constexpr unsigned int kImages = 200, kRuns = 8;
constexpr size_t kArenaBytes = 16 << 20, kLongestInsn = 15;

/* Survivors, reviewed by kind: why they may. */
struct Harmless {
	Change change;
	std::initializer_list<Subject> subjects;
	const char *reason;
};

const Harmless kHarmless[] = {
	{Change::kDrop, {Subject::kGuard}, "the address had been masked before, or is not accessed before the exit"},
	{Change::kDrop, {Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kOther}, "a step of the program's own is lost"},
	{Change::kDrop, {Subject::kBranch}, "control goes on to code that is proved for it"},
	{Change::kDrop, {Subject::kStub}, "what led to it leads to the next stub"},
	{Change::kMove,
	 {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kBranch, Subject::kStub, Subject::kOther},
	 "neither needs the other, or the program computes something else"},
	{Change::kTarget, {Subject::kBranch}, "to code for which is known what it needs, and no cycle without a poll"},
	{Change::kTarget, {Subject::kPoll, Subject::kStub}, "to another stub; a stub that jumps elsewhere is two instructions"},
	{Change::kRegister, {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kOther},
	 "another of the user's registers, or another instruction that is allowed"},
	{Change::kRegister, {Subject::kBranch, Subject::kPoll, Subject::kStub}, "another condition, exit or stub"},
	{Change::kOpcode, {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kBranch, Subject::kOther},
	 "another instruction that is allowed"},
	{Change::kDisplacement, {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kOther},
	 "within the holes, or another of the user's slots"},
	{Change::kImmediate, {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kOther},
	 "a number of the program's"},
	{Change::kImmediate, {Subject::kBranch, Subject::kStub}, "as a target, or another exit"},
	{Change::kPrefix, {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kOther},
	 "another width, or another of the user's registers"},
	{Change::kEntry, {Subject::kGuard, Subject::kStack, Subject::kAccess, Subject::kSlot, Subject::kOther},
	 "to another stub, or of an instruction that needs none"},
};

/* No mutant of these kinds survives. Null: whatever was done. */
struct Refused {
	Change change;
	Subject subject;
	const char *what;
};

const Refused kRefused[] = {
	{Change::kDrop, Subject::kPoll, nullptr},
	{Change::kMove, Subject::kPoll, nullptr},
	{Change::kPrefix, Subject::kPoll, nullptr},
	{Change::kPrefix, Subject::kStub, nullptr},
	{Change::kPrefix, Subject::kBranch, nullptr},
	{Change::kPrefix, Subject::kGuard, "one more"},
	{Change::kTarget, Subject::kBranch, "into an instruction"},
	{Change::kTarget, Subject::kBranch, "to before its target"},
	{Change::kTarget, Subject::kBranch, "to itself"},
	{Change::kTarget, Subject::kBranch, "past the end"},
	{Change::kTarget, Subject::kBranch, "before the start"},
	{Change::kTarget, Subject::kBranch, "to leave"},
	{Change::kTarget, Subject::kBranch, "past leave"},
	{Change::kTarget, Subject::kPoll, "into an instruction"},
	{Change::kTarget, Subject::kPoll, "to before its target"},
	{Change::kTarget, Subject::kPoll, "to itself"},
	{Change::kTarget, Subject::kPoll, "to the landing pad"},
	{Change::kTarget, Subject::kPoll, "to leave"},
	{Change::kTarget, Subject::kPoll, "past leave"},
	{Change::kTarget, Subject::kStub, "into an instruction"},
	{Change::kTarget, Subject::kStub, "to before its target"},
	{Change::kTarget, Subject::kStub, "past the end"},
	{Change::kTarget, Subject::kStub, "before the start"},
	{Change::kTarget, Subject::kStub, "past leave"},
	{Change::kEntry, Subject::kAccess, "gone"},
	{Change::kEntry, Subject::kAccess, "to its own instruction"},
	{Change::kEntry, Subject::kAccess, "to the landing pad"},
	{Change::kEntry, Subject::kAccess, "not at an instruction"},
	{Change::kEntry, Subject::kOther, "to its own instruction"},
	{Change::kEntry, Subject::kOther, "not at an instruction"},
	{Change::kExits, Subject::kOther, nullptr},
};

const char *why_harmless(const Mutant &mutant)
{
	for (const Refused &row : kRefused)
		if (row.change == mutant.change && row.subject == mutant.subject && (!row.what || !strcmp(row.what, mutant.what)))
			return nullptr;
	for (const Harmless &row : kHarmless)
		if (row.change == mutant.change)
			for (Subject subject : row.subjects)
				if (subject == mutant.subject)
					return row.reason;
	return nullptr;
}

struct Counts {
	unsigned long made = 0, refused = 0, harmless = 0, unreadable = 0;
	unsigned long judged = 0, condemned = 0;	/* of those refused, by the oracle */
};

/* Instances are many and alike: all other images, and of those some, as many again. Programs of what
 * the oracle cannot read would not be judged at all. */
std::vector<KeptImage> chosen(unsigned int most, Oracle &oracle)
{
	const auto readable = [&](const Instance &instance) { return oracle.reads(instance.bytes()); };
	std::vector<KeptImage> all = sample_images(most / 10, 3000, readable), few;
	size_t instances = 0, n = 0;

	for (const KeptImage &kept : all)
		instances += kept.origin == "instance";
	const size_t others = all.size() - instances;
	const size_t instance_step = 1 + instances * 2 / most, other_step = 1 + others * 2 / most;
	for (KeptImage &kept : all)
		if (n++ % (kept.origin == "instance" ? instance_step : other_step) == 0)
			few.push_back(std::move(kept));
	return few;
}

class Mutants : public testing::Test {
protected:
	Mutants() : contract_(contract()), memory_(new char[kArenaBytes]), oracle_(contract_) {}

	bool accepted(const ub::sfi::Image &image)
	{
		ub::Arena arena(memory_.get(), kArenaBytes);
		return bool(ub::sfi::verify(image, contract_, arena));
	}

	void take(const Mutant &mutant);
	void show(const char *name, const Counts &counts) const
	{
		printf("             %-13s %7lu made %7lu refused %6lu harmless %4lu unreadable; the oracle condemns %lu of %lu refused\n",
		       name, counts.made, counts.refused, counts.harmless, counts.unreadable, counts.condemned, counts.judged);
	}

	const ub::sfi::Contract contract_;
	std::unique_ptr<char[]> memory_;
	Oracle oracle_;
	Random random_{1};
	Counts counts_[int(Change::kChanges)][int(Subject::kSubjects)], dropped_guards_;
	unsigned int shown_ = 0;
};

void Mutants::take(const Mutant &mutant)
{
	Counts &counts = counts_[int(mutant.change)][int(mutant.subject)];
	const ub::sfi::Image image = mutant.image.image();
	const auto fail = [&](const std::string &why) {
		if (shown_++ >= 20)
			return;
		char bytes[3 * kLongestInsn + 1] = "";
		for (size_t i = 0; i < kLongestInsn && mutant.offset + i < image.bytes.size(); i++)
			snprintf(bytes + 3 * i, 4, "%02x ", image.bytes[mutant.offset + i]);
		ADD_FAILURE() << mutant.image.origin << ", " << kChangeNames[int(mutant.change)] << " "
			      << kSubjectNames[int(mutant.subject)] << " at " << std::hex << mutant.offset << " (" << mutant.what
			      << "), now " << bytes << "…: " << why;
	};

	counts.made++;
	if (!accepted(image)) {
		counts.refused++;
		if (random_.chance(8)) {
			const bool condemned = !oracle_.judge(image, mutant.offset, kRuns, random_).empty();
			counts.judged++;
			counts.condemned += condemned;
			/* Random programs load pointers right before: without its guard an access is their own. */
			if (mutant.change == Change::kDrop && mutant.subject == Subject::kGuard && mutant.image.origin != "program") {
				dropped_guards_.judged++;
				dropped_guards_.condemned += condemned;
			}
		}
		return;
	}
	const char *reason = why_harmless(mutant);
	const std::string escape = oracle_.judge(image, mutant.offset, kRuns, random_);
	if (!escape.empty())
		fail("accepted, and " + escape);
	else if (!reason)
		fail("accepted, and nobody has said why that is harmless");
	else if (!oracle_.unreadable.empty())
		counts.unreadable++;
	else
		counts.harmless++;
}

TEST_F(Mutants, are_refused_or_harmless)
{
	const unsigned int bound = cases(kImages);
	unsigned int images = 0, odd = 0;

	for (const KeptImage &kept : chosen(bound, oracle_)) {
		oracle_.judge(kept.image(), 0, 0, random_);
		odd += !oracle_.unreadable.empty();
		if (!oracle_.unreadable.empty())
			continue;
		EXPECT_TRUE(mutate(kept, bound / 20, images++, [this](const Mutant &mutant) { take(mutant); }))
			<< kept.origin << ": taken apart and put together it is another";
	}

	Counts all;
	for (int change = 0; change < int(Change::kChanges); change++) {
		Counts sum;
		for (const Counts &counts : counts_[change]) {
			sum.made += counts.made, sum.refused += counts.refused, sum.harmless += counts.harmless;
			sum.unreadable += counts.unreadable, sum.judged += counts.judged, sum.condemned += counts.condemned;
		}
		show(kChangeNames[change], sum);
		all.made += sum.made, all.refused += sum.refused, all.harmless += sum.harmless;
		all.unreadable += sum.unreadable, all.judged += sum.judged, all.condemned += sum.condemned;
	}
	printf("             %u images, %u more that Capstone cannot read\n", images, odd);
	show("all", all);
	RecordProperty("images", int(images));
	RecordProperty("images_unreadable", int(odd));
	RecordProperty("made", int(all.made));
	RecordProperty("refused", int(all.refused));
	RecordProperty("harmless", int(all.harmless));
	RecordProperty("unreadable", int(all.unreadable));

	/* The oracle would see it. */
	EXPECT_GT(dropped_guards_.condemned * 10, dropped_guards_.judged * 6);
	EXPECT_GT(dropped_guards_.judged, 10u);
	EXPECT_LT(all.unreadable * 100, all.made);
	EXPECT_LT(odd * 10, images);
}

TEST_F(Mutants, the_oracle_finds_nothing_in_what_was_not_changed)
{
	unsigned long read = 0;

	for (const KeptImage &kept : sample_images(cases(kImages) / 10, ub::sfi::kImageMaxBytes))
		for (int i = 0; i < 3; i++) {
			const std::string why = oracle_.judge(kept.image(), uint32_t(random_.below(kept.bytes.size())), 2, random_);
			read += oracle_.unreadable.empty();
			ASSERT_EQ(why, "") << kept.origin;
		}
	EXPECT_GT(read, 1000u);
}

} // namespace
} // namespace host
