/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The profiler: which sites are worth a translation. Three sieves, each cheap where
 * most threads stop (Userspace Bypass, OSDI '23, section 4):
 *   sampling  one syscall in about `sample_interval` of a thread is looked at
 *   coarse    the thread makes more than `coarse_rate` syscalls a second
 *   fine      the gap after a sampled syscall is short, `hot_samples` times
 * It nominates; whether a translation pays is measured: payoff.h.
 *
 * Times are those of ubk_now_ns(). Only the thread itself calls these on its ub_thread.
 */
#pragma once

#include "core.h"
#include "profiler/site.h"

namespace ub::profiler {

/* A syscall of the thread that is to be sampled (until_sample) has returned. True if the gap that
 * begins now is to be timed: the thread is syscall-intensive. */
bool sample(ub_thread &thread);

/* Starts timing the gap at @start. */
void gap_begins(ub_thread &thread, UserAddr start);

/* Goes on timing a gap, which began at @start in a translation that was left inside of it. */
void gap_left(ub_thread &thread, UserAddr start, uint64_t from_ns);

/* Ends the timing; its site is in thread.gap_start_ip before. Return: the gap in ns. */
uint64_t gap_ends(ub_thread &thread);

/* A chain has ended inside a gap of the site: whether its next one is to be timed, natively or translated. */
void draw_turn(ub_thread &thread, const Site &site);

/* Whether after a chain that ended by itself, at the end of a gap, the next gap is to run natively. */
bool native_turn_due(const ub_thread &thread);

/* Whether more samples of a site may change anything: it is a candidate. */
bool of_use(const Site &site);

/* Whether its next gap, if it is short, makes a site hot. */
bool may_become_hot(const Site &site);

/* Takes one timed gap into account. Under the space's lock.
 * Return: true if the site has just become hot. */
bool judge(Site &site, uint64_t gap_ns);

} // namespace ub::profiler
