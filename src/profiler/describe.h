/* SPDX-License-Identifier: GPL-2.0 */
/* What ub.sites says of a site: its counts, both times, and how it stands. Decides nothing. */
#pragma once

#include "core.h"
#include "profiler/site.h"

namespace ub::profiler {

/* Context: any, no lock: a site that changes meanwhile is shown as half of each. */
ub_site describe(const Site &site);

} // namespace ub::profiler
