// SPDX-License-Identifier: GPL-2.0-or-later
/* Nobody's, unless lbd sets them: see pause.h. */
#include <stddef.h>

#include "pause.h"

const struct lb_pause_hooks *lb_pause_hooks;
