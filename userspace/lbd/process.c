// SPDX-License-Identifier: GPL-2.0-or-later
/* Reads /proc/self. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "process.h"

static int read_stat(struct lb_process *out)
{
	unsigned long long utime, stime, start, vsize;
	double ticks = sysconf(_SC_CLK_TCK);
	char line[1024], *p;
	long rss;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t len;

	if (!f)
		return -errno;
	len = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[len] = '\0';
	p = strrchr(line, ')'); /* the name may hold anything */
	if (!p ||
	    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %llu %ld",
		   &utime, &stime, &start, &vsize, &rss) != 5)
		return -EINVAL;
	out->cpu_seconds = (utime + stime) / ticks;
	out->virtual_bytes = vsize;
	out->resident_bytes = (uint64_t)rss * sysconf(_SC_PAGESIZE);
	out->start_time_seconds =
		(lb_clock_ns(CLOCK_REALTIME) - lb_clock_ns(CLOCK_BOOTTIME)) / (double)LB_NSEC_PER_SEC + start / ticks;
	return 0;
}

static uint64_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t nr = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		nr += e->d_name[0] != '.';
	closedir(d);
	return nr ? nr - 1 : 0; /* without the one that looked */
}

int lb_process_read(struct lb_process *out)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	out->max_fds = limit.rlim_cur;
	out->open_fds = count_fds();
	return read_stat(out);
}
