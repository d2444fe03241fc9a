/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the configuration comes from at start and on reload: the file, or the state. Called by control.c and main.c. */
#ifndef LB_SOURCE_H
#define LB_SOURCE_H

#include "control.h"

/* lb_source_file - read, decode and check the file. -ENOENT (with @err): it is not there. */
int lb_source_file(const char *path, struct lb_config **out, char fingerprint[LB_FINGERPRINT_LEN], struct lb_err *err);

/* lb_source_locate - where the file names what @err is about, put its name and line there: see lb_document_locate. */
void lb_source_locate(const char *path, struct lb_err *err);

/* lb_source_start - what to run at start. The file, when its content is not what the state last saw; else the state;
 * with neither, an empty configuration. @out->config is the caller's. @previous: the state's configuration where the
 * file replaces it (the caller's), else NULL. */
int lb_source_start(const struct lb_control_options *options, struct lb_state *out, struct lb_config **previous,
		    struct lb_err *err);

#endif
