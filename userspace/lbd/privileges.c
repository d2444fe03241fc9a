// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capabilities. CAP_SYS_ADMIN has to stay: libxdp opens programs by id when it attaches. CAP_DAC_OVERRIDE stays for a
 * configuration file or state directory that root does not own, CAP_NET_RAW for the ping check. Locked memory, sockets and the bpffs are seen to by
 * now.
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "log.h"
#include "privileges.h"

static const unsigned int kept[] = {CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_DAC_OVERRIDE, CAP_NET_RAW};
#define NR_KEPT (sizeof(kept) / sizeof(kept[0]))

/* CAP_SYS_ADMIN has CAP_BPF in it. */
int lb_privileges_check(struct lb_err *err)
{
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) &&
	    capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN))
		return 0;
	return lb_err_set(err, -EPERM, NULL,
			  "root is needed, or CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN; --check-config works without");
}

void lb_privileges_drop(void)
{
	bool had[NR_KEPT];

	/* Nobody can keep what he has not. */
	for (size_t i = 0; i < NR_KEPT; i++)
		had[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]) > 0;
	capng_clear(CAPNG_SELECT_BOTH);
	for (size_t i = 0; i < NR_KEPT; i++)
		if (had[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, kept[i]);
	if (capng_apply(CAPNG_SELECT_BOTH) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		lb_log(LB_LOG_WARN, "msg=\"cannot give up privileges\" error=%s", lb_quoted(strerror(errno)));
}
