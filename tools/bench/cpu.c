// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What everything in the laboratory takes of the CPUs.
 *
 * A load balancer in the kernel runs in whichever task its interrupts fall into, so no counter of a process or a cgroup
 * is its own. Three sums make the whole: the run time of every thread in this PID namespace (with the interrupts that
 * fell into it), that of the kernel's ksoftirqd threads, and what interrupts took where the CPU was idle. For the
 * last, a thread of SCHED_IDLE on each CPU spins and counts: what its clock shows more than its count is worth went to
 * interrupts. Other programs of the machine are not in it, but for interrupts of ours that fell into them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"

#define MAX_CPUS 256
#define CALIBRATE_MS 300

static struct soaker {
	_Alignas(64) atomic_ullong turns;
	int cpu;
	pthread_t thread;
} soakers[MAX_CPUS];
static int nr_soakers;
static atomic_bool soaking;
static double turns_per_s; /* of one soaker that nothing interrupts */

static void *soak(void *arg)
{
	const struct sched_param param = {0};
	const struct timespec pause = {.tv_nsec = 1000000};
	struct soaker *s = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	if (sched_setscheduler(0, SCHED_IDLE, &param))
		return NULL;
	for (;;) {
		uint64_t x = 1;

		if (!atomic_load_explicit(&soaking, memory_order_relaxed)) {
			nanosleep(&pause, NULL);
			continue;
		}
		for (int i = 0; i < 500; i++) {
			x = x * 6364136223846793005ULL + 1;
			__asm__ volatile("" : "+r"(x));
		}
		atomic_fetch_add_explicit(&s->turns, 1, memory_order_relaxed);
	}
	return NULL;
}

static uint64_t soaked_turns(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < nr_soakers; i++)
		sum += atomic_load_explicit(&soakers[i].turns, memory_order_relaxed);
	return sum;
}

static void soak_switch(bool on)
{
	const struct timespec settle = {.tv_nsec = 10000000};

	atomic_store(&soaking, on);
	nanosleep(&settle, NULL);
}

static double soaked_cpu_s(void)
{
	struct timespec ts;
	double sum = 0;
	clockid_t clock;

	for (int i = 0; i < nr_soakers; i++) {
		if (pthread_getcpuclockid(soakers[i].thread, &clock) || clock_gettime(clock, &ts))
			continue;
		sum += (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
	}
	return sum;
}

/* By the threads' own clocks: another process that runs meanwhile does not slow a thread down, it only stops it. The
 * fastest calibration is the one that the fewest interrupts fell into. */
void cpu_calibrate(void)
{
	const struct timespec window = {.tv_nsec = CALIBRATE_MS * 1000000L};
	uint64_t turns;
	double cpu_s, rate;

	soak_switch(true);
	turns = soaked_turns();
	cpu_s = soaked_cpu_s();
	nanosleep(&window, NULL);
	rate = (double)(soaked_turns() - turns) / (soaked_cpu_s() - cpu_s);
	if (rate > turns_per_s)
		turns_per_s = rate;
	soak_switch(false);
}

/* The run time in a file such as /proc/1/schedstat, in seconds; 0 where it cannot be read: the thread is gone. */
static double run_time_s(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	char text[128] = "";

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strtod(text, NULL) / 1e9;
}

/* All threads that /proc shows here: those of this PID namespace. */
static double laboratory_s(void)
{
	DIR *procs = opendir("/proc"), *tasks;
	const struct dirent *p, *t;
	char path[600];
	double sum = 0;

	while (procs && (p = readdir(procs))) {
		if (p->d_name[0] < '0' || p->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task", p->d_name);
		tasks = opendir(path);
		while (tasks && (t = readdir(tasks))) {
			if (t->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/%s/task/%s/schedstat", p->d_name, t->d_name);
			sum += run_time_s(AT_FDCWD, path);
		}
		if (tasks)
			closedir(tasks);
	}
	if (procs)
		closedir(procs);
	return sum;
}

/* The kernel's threads are seen only in the machine's own /proc, which was opened before this namespace was entered. */
static struct {
	int proc, pids[MAX_CPUS], nr;
} ksoftirqd = {.proc = -1};

static void find_ksoftirqd(void)
{
	const char *text = getenv(CPU_PROC_FD);
	const struct dirent *p;
	char path[300], comm[32];
	DIR *procs;

	ksoftirqd.proc = text ? atoi(text) : -1;
	procs = ksoftirqd.proc >= 0 ? fdopendir(dup(ksoftirqd.proc)) : NULL;
	while (procs && (p = readdir(procs)) && ksoftirqd.nr < MAX_CPUS) {
		int fd;

		snprintf(path, sizeof(path), "%s/comm", p->d_name);
		fd = openat(ksoftirqd.proc, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, comm, sizeof(comm)) > 0 && !strncmp(comm, "ksoftirqd/", strlen("ksoftirqd/")))
			ksoftirqd.pids[ksoftirqd.nr++] = atoi(p->d_name);
		close(fd);
	}
	if (procs)
		closedir(procs);
}

static double ksoftirqd_s(void)
{
	char path[64];
	double sum = 0;

	for (int i = 0; i < ksoftirqd.nr; i++) {
		snprintf(path, sizeof(path), "%d/schedstat", ksoftirqd.pids[i]);
		sum += run_time_s(ksoftirqd.proc, path);
	}
	return sum;
}

/* Soakers are of the laboratory: their whole time is taken off, what interrupts took of it is put back. */
static double used_s(void)
{
	double idle_s = (double)soaked_turns() / turns_per_s;

	return laboratory_s() + ksoftirqd_s() - idle_s;
}

int cpu_start(void)
{
	cpu_set_t set;

	find_ksoftirqd();
	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	for (int cpu = 0; cpu < MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		soakers[nr_soakers].cpu = cpu;
		if (pthread_create(&soakers[nr_soakers].thread, NULL, soak, &soakers[nr_soakers]))
			return -EAGAIN;
		nr_soakers++;
	}
	return 0;
}

static double used_before_s;

void cpu_begin(void)
{
	soak_switch(true);
	used_before_s = used_s();
}

double cpu_end(void)
{
	double used = used_s() - used_before_s;

	soak_switch(false);
	return used;
}
