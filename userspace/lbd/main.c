// SPDX-License-Identifier: GPL-2.0-or-later
/* lbd: options, signals and the parts put together. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api.h"
#include "clock.h"
#include "control.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "notify.h"
#include "privileges.h"
#include "source.h"
#include "traffic.h"

#define EXIT_USAGE 2

struct options {
	struct lb_control_options control;
	const char *socket;
	const char *metrics;
	struct lb_endpoint metrics_at;
	bool check_config;
	bool detach_on_exit;
};

struct daemon {
	struct event_base *base;
	struct lb_control *control;
	struct lb_http *api, *metrics;
	int api_fd, metrics_fd; /* until those have them; -1: none */
	struct event *signals[3];
	struct lb_job start, reload;
	bool reloading, again; /* SIGHUP came, and came again */
	bool stopping;
	const struct options *options;
	int failed; /* why it could not start; 0: it could, or has not yet */
	struct lb_err err;
};

static const char usage_text[] =
	"usage: lbd [OPTION...]\n"
	"  --config FILE        the configuration (default /etc/lbd/lbd.yaml)\n"
	"  --state-dir DIR      where lbd keeps what it runs (default /var/lib/lbd)\n"
	"  --socket PATH        the API's socket (default /run/lbd/lbd.sock)\n"
	"  --pin-dir DIR        where maps are pinned, on a bpffs (default /sys/fs/bpf/lbd)\n"
	"  --metrics ADDR:PORT  where /metrics, /healthz and /readyz are (default 127.0.0.1:9707)\n"
	"  --log-level LEVEL    debug, info, warn or error (default info)\n"
	"  --check-config       check the configuration file, print OK or what is wrong, and exit\n"
	"  --detach-on-exit     on SIGTERM, stop forwarding and remove the dataplane\n"
	"  --version, --help\n"
	"Signals: HUP reads the configuration file again; TERM and INT stop lbd, the dataplane goes on forwarding.\n";

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "lbd: %s%s; see lbd --help\n", what, value);
	return EXIT_USAGE;
}

static int parse_metrics(struct options *o)
{
	struct lb_err err = {0};

	/* As other exporters take it: of all addresses. Here it is said which. */
	if (*o->metrics == ':' || !o->metrics[strspn(o->metrics, "0123456789")])
		return usage_error("--metrics takes ADDR:PORT, such as 127.0.0.1:9707; there is no address in ",
				   o->metrics);
	if (lb_endpoint_parse(o->metrics, &o->metrics_at, &err))
		return usage_error("--metrics: ", lb_err_str(&err));
	if (!o->metrics_at.port)
		return usage_error("--metrics takes ADDR:PORT; there is no port in ", lb_err_text(o->metrics));
	return -1;
}

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"state-dir", required_argument, NULL, 'd'},
	{"socket", required_argument, NULL, 's'},
	{"pin-dir", required_argument, NULL, 'p'},
	{"metrics", required_argument, NULL, 'm'},
	{"log-level", required_argument, NULL, 'l'},
	{"check-config", no_argument, NULL, 'C'},
	{"detach-on-exit", no_argument, NULL, 'D'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* Returns the status to exit with, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum lb_log_level level;
	int opt, which;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", long_options, &which)) != -1) {
		/* A script's variable that was not set must not mean the current folder, or nothing. */
		if (optarg && !*optarg)
			return usage_error("an empty value for --", long_options[which].name);
		switch (opt) {
		case 'c':
			o->control.config_path = optarg;
			o->control.config_explicit = true;
			break;
		case 'd':
			o->control.state_dir = optarg;
			break;
		case 's':
			o->socket = optarg;
			break;
		case 'p':
			o->control.pin_dir = optarg;
			break;
		case 'm':
			o->metrics = optarg;
			break;
		case 'l':
			if (lb_log_level_parse(optarg, &level))
				return usage_error("--log-level takes debug, info, warn or error, not ", optarg);
			lb_log_set_level(level);
			break;
		case 'C':
			o->check_config = true;
			break;
		case 'D':
			o->detach_on_exit = true;
			break;
		case 'V':
			printf("lbd %s\n", LB_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage_text, stdout);
			return EXIT_SUCCESS;
		case ':':
			return usage_error(argv[optind - 1], " needs a value");
		default:
			return usage_error("there is no such option, or it takes no value: ", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return usage_error("takes no arguments, but got ", argv[optind]);
	return parse_metrics(o);
}

static int check_config(const struct options *o)
{
	char fingerprint[LB_FINGERPRINT_LEN];
	struct lb_config *conf = NULL;
	struct lb_err err = {0};

	if (lb_source_file(o->control.config_path, &conf, fingerprint, &err)) {
		fprintf(stderr, "%s\n", lb_err_str(&err));
		return EXIT_FAILURE;
	}
	lb_config_free(conf);
	if (puts("OK") < 0 || fflush(stdout)) {
		fprintf(stderr, "lbd: the file is right, but that cannot be written: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static void on_stop(evutil_socket_t sig, short what, void *ctx)
{
	struct daemon *d = ctx;

	lb_log(LB_LOG_INFO, "msg=\"stopping\" signal=%d", (int)sig);
	d->stopping = true;
	event_base_loopbreak(d->base);
}

static void run_reload(void *ctx)
{
	struct daemon *d = ctx;

	if (d->control->started)
		lb_control_reload(d->control);
}

static void reload(struct daemon *d)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)lb_now_ns() / 1000);
	lb_notify(state);
	d->reloading = true;
	lb_work_add(d->control->work, &d->reload);
}

static void on_reloaded(void *ctx)
{
	struct daemon *d = ctx;

	lb_notify("READY=1");
	d->reloading = false;
	if (d->again)
		reload(d);
	d->again = false;
}

static void on_reload(evutil_socket_t sig, short what, void *ctx)
{
	struct daemon *d = ctx;

	if (d->reloading)
		d->again = true;
	else
		reload(d);
}

static int watch_signals(struct daemon *d)
{
	static const struct {
		int sig;
		event_callback_fn fn;
	} signals[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		d->signals[i] = evsignal_new(d->base, signals[i].sig, signals[i].fn, d);
		if (!d->signals[i] || evsignal_add(d->signals[i], NULL))
			return -ENOMEM;
	}
	return 0;
}

/* Each probe under way has a descriptor. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Where the standard descriptors are closed, others would get their numbers, and the log be written there. */
static void keep_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* What malloc() does now and then must not take long. */
static void choose_memory(void)
{
	mallopt(M_MXFAST, 0);		     /* else thousands of small pieces are put together at a time */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);  /* what grows beyond that is moved without being copied */
	mallopt(M_TRIM_THRESHOLD, 16 << 20); /* and what tables had is kept for the next ones */
}

static void wake_readers(void *ctx)
{
	lb_http_wake(ctx);
}

static int use_fd(struct daemon *d, int *fd, lb_http_handler_fn handler, struct lb_http **out)
{
	*out = lb_http_new(d->base, *fd, handler, d->control, &d->err);
	if (!*out)
		return d->err.code ? d->err.code : -ENOMEM;
	*fd = -1;
	return 0;
}

static void run_start(void *ctx)
{
	struct daemon *d = ctx;

	d->failed = lb_control_start(d->control, &d->err);
	lb_privileges_drop(); /* this thread's; those that it starts have no more than it has */
}

static void on_started(void *ctx)
{
	struct daemon *d = ctx;
	const struct options *o = d->options;

	lb_privileges_drop();
	if (d->stopping)
		return;
	if (!d->failed)
		d->failed = use_fd(d, &d->api_fd, lb_api_handle, &d->api);
	if (d->failed) {
		event_base_loopbreak(d->base);
		return;
	}
	lb_events_on_add(d->control->events, wake_readers, d->api);
	lb_traffic_on_add(d->control->traffic, wake_readers, d->api);
	lb_log(LB_LOG_INFO, "msg=\"ready\" version=%s pid=%d socket=%s metrics=%s", LB_VERSION, (int)getpid(),
	       o->socket, o->metrics);
	lb_notify("READY=1");
}

/* What takes long is done once the event loop runs, which tells who asks until then that lbd lives. */
static int start(struct daemon *d)
{
	const struct options *o = d->options;
	int ret;

	ret = lb_privileges_check(&d->err);
	if (!ret)
		ret = lb_store_lock(o->control.state_dir, &d->err);
	if (ret)
		return ret;
	d->base = lb_loop_new();
	if (!d->base || watch_signals(d))
		return lb_err_set(&d->err, -ENOMEM, NULL, "cannot make the event loop");
	/* Taken before the dataplane is touched: another lbd that is alive is found here. */
	d->api_fd = lb_listen_unix(o->socket, &d->err);
	if (d->api_fd < 0)
		return d->api_fd;
	d->metrics_fd = lb_listen_tcp(&o->metrics_at, &d->err);
	if (d->metrics_fd < 0)
		return d->metrics_fd;
	ret = lb_control_new(d->base, &o->control, &d->control, &d->err);
	if (!ret)
		ret = use_fd(d, &d->metrics_fd, lb_metrics_handle, &d->metrics);
	if (!ret)
		lb_work_add(d->control->work, &d->start);
	return ret;
}

static void stop(struct daemon *d, const struct options *o)
{
	struct lb_err err = {0};

	if (d->control)
		lb_work_finish(d->control->work);
	if (d->control && d->control->started)
		lb_control_leave(d->control, o->detach_on_exit);
	if (d->api || d->api_fd >= 0)
		unlink(o->socket);
	lb_http_free(d->api);
	lb_http_free(d->metrics);
	if (d->api_fd >= 0)
		close(d->api_fd);
	if (d->metrics_fd >= 0)
		close(d->metrics_fd);
	if (d->control && d->control->started && o->detach_on_exit) {
		if (lb_dataplane_destroy(d->control->dp, &err))
			lb_log(LB_LOG_ERROR, "msg=\"cannot remove the dataplane\" error=%s",
			       lb_quoted(lb_err_str(&err)));
		else
			lb_log(LB_LOG_INFO, "msg=\"dataplane removed\"");
	}
	lb_control_free(d->control);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->base)
		event_base_free(d->base);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	struct options o = {
		.control = {.config_path = "/etc/lbd/lbd.yaml",
			    .state_dir = "/var/lib/lbd",
			    .pin_dir = "/sys/fs/bpf/lbd"},
		.socket = "/run/lbd/lbd.sock",
		.metrics = "127.0.0.1:9707",
	};
	struct daemon d = {.start = {run_start, on_started, &d, NULL},
			   .reload = {run_reload, on_reloaded, &d, NULL},
			   .api_fd = -1,
			   .metrics_fd = -1,
			   .options = &o};
	int ret;

	keep_standard_fds();
	/* Until it is listened to: the file is read after that anyway. */
	signal(SIGHUP, SIG_IGN);
	ret = parse_options(argc, argv, &o);
	if (ret >= 0)
		return ret;
	if (o.check_config)
		return check_config(&o);
	raise_limits();
	choose_memory();
	d.failed = start(&d);
	if (!d.failed) {
		lb_loop_watch();
		event_base_dispatch(d.base);
	}
	if (!d.failed)
		lb_notify("STOPPING=1");
	stop(&d, &o);
	if (!d.failed)
		return EXIT_SUCCESS;
	fprintf(stderr, "lbd: %s\n", lb_err_str(&d.err));
	return EXIT_FAILURE;
}
