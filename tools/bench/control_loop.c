// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long lbd's event loop is held, at most, by what is asked of it with 10,000 services: their coming and going, long
 * answers, a comparison of all maps, a copy of the process, and the adoption of all of it. In CPU time, as lbd says.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"
#include "control_priv.h"
#include "lab_lbd.h"

#define ROUNDS 3
#define SERVICES 10000
#define LONGEST "\nlb_loop_busy_longest_seconds "

/* The metrics page, malloc'ed; NULL: there is none. It may be many megabytes. */
static char *read_metrics(void)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(LAB_METRICS_PORT)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *text = NULL, part[65536];
	size_t size;
	FILE *f = open_memstream(&text, &size);
	ssize_t n = 0;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
	    send(fd, request, sizeof(request) - 1, 0) == sizeof(request) - 1)
		while ((n = recv(fd, part, sizeof(part), 0)) > 0)
			fwrite(part, 1, (size_t)n, f);
	close(fd);
	fclose(f);
	if (!n && size)
		return text;
	free(text);
	return NULL;
}

/* *@ms becomes what lbd says where that is more. */
static int add_longest(double *ms)
{
	char *text = read_metrics(), *at = text ? strstr(text, LONGEST) : NULL;
	double now = at ? atof(at + strlen(LONGEST)) * 1e3 : 0;

	free(text);
	if (now <= 0)
		return lab_fail("the longest turn of the event loop cannot be read");
	*ms = now > *ms ? now : *ms;
	return 0;
}

static int ask_all(void)
{
	static const char *const paths[] = {"/v1/services", "/v1/config", "/v1/status?verify=1", "/v1/flows",
					    "/v1/flows?client=198.51.100.1"};

	if (lab_put_config(SERVICES, 1, 0) < 0 || lab_put_config(SERVICES, 1, 0) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (lab_ask("GET", paths[i], NULL, NULL) < 0)
			return -1;
	return lab_ask("PATCH", "/v1/services/s05000/backends/10.1.19.136", "{\"weight\":50}", NULL) < 0 ? -1 : 0;
}

/* Two processes: one that is given all of it and asked, and one that finds it. */
static int measure_once(double *ms)
{
	lab_lbd_end(SIGTERM);
	if (lab_lbd_start() < 0 || ask_all() || add_longest(ms))
		return -1;
	lab_lbd_end(SIGKILL);
	if (lab_lbd_start() < 0)
		return -1;
	if (!lab_adopted() || lab_services() != SERVICES)
		return lab_fail("lbd did not adopt what was there");
	return lab_put_config(0, 0, 0) < 0 ? -1 : add_longest(ms);
}

int lab_measure_loop(json_t *rows)
{
	double ms[ROUNDS] = {0};

	for (int i = 0; i < ROUNDS; i++)
		if (measure_once(&ms[i]))
			return -1;
	lab_add_row(rows, BENCH_LOOP, ms, ROUNDS, NULL);
	return 0;
}
