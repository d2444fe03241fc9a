// SPDX-License-Identifier: GPL-2.0-or-later
/* lbctl's commands: each makes a request of lbd's API and shows the answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "doc.h"
#include "lbctl.h"

#define FILE_MAX_BYTES (16u << 20) /* lbd takes no larger body */

static int no_memory(void)
{
	return lb_ctl_fail(LB_EXIT_REFUSED, "out of memory");
}

static const char *socket_path(const struct lb_ctl *c)
{
	const char *path = lb_args_value(c->args, "socket");

	if (!path)
		path = getenv("LBD_SOCKET");
	return path && *path ? path : LB_CLIENT_SOCKET;
}

/* What lbd says of a request that it refused. */
static int refused(const struct lb_response *answer)
{
	json_t *problem = json_loadb(answer->body, answer->body_bytes, 0, NULL);
	const char *detail = json_string_value(json_object_get(problem, "detail"));

	if (!detail)
		detail = json_string_value(json_object_get(problem, "title"));
	if (detail)
		lb_ctl_fail(LB_EXIT_REFUSED, "%s", detail);
	else
		lb_ctl_fail(LB_EXIT_REFUSED, "lbd answered with status %d and no explanation; its log may have one",
			    answer->status);
	json_decref(problem);
	return LB_EXIT_REFUSED;
}

/* Who takes an answer line by line as it comes. */
struct sink {
	bool (*line)(void *ctx, const char *text);
	void *ctx;
};

/* Send @rq, whose path is taken over; with @sink the answer goes there, as long as it is a success. After LB_EXIT_DONE
 * @answer is the caller's and a success; what went wrong has been said otherwise. */
static int exchange(const struct lb_ctl *c, struct lb_request rq, char *path, const struct sink *sink,
		    struct lb_response *answer)
{
	struct lb_client *client = NULL;
	struct lb_err err = {0};
	int ret;

	if (!path)
		return no_memory();
	rq.path = path;
	ret = lb_client_new(socket_path(c), &client, &err);
	if (!ret && sink)
		ret = lb_client_stream(client, &rq, sink->line, sink->ctx, answer, &err);
	else if (!ret)
		ret = lb_client_do(client, &rq, answer, &err);
	if (ret == -ECONNRESET && sink) {
		ret = lb_ctl_fail(LB_EXIT_UNREACHABLE, "lbd at %s went away", socket_path(c));
	} else if (ret) {
		ret = lb_ctl_fail(ret == -ENAMETOOLONG		     ? LB_EXIT_USAGE
				  : ret == -ENOMEM || ret == -EPROTO ? LB_EXIT_REFUSED
								     : LB_EXIT_UNREACHABLE,
				  "%s", lb_err_str(&err));
	} else if (answer->status < 200 || answer->status > 299) {
		ret = refused(answer);
		lb_response_fini(answer);
	}
	lb_client_free(client);
	free(path);
	return ret;
}

/* As above with JSON both ways: @body (taken over; NULL: none) and *@doc, the caller's; no content gives {}. */
static int call(const struct lb_ctl *c, const char *method, char *path, json_t *body, json_t **doc)
{
	struct lb_request rq = {.method = method};
	struct lb_response answer = {0};
	json_error_t error;
	char *text = NULL;
	int ret;

	if (body) {
		text = json_dumps(body, JSON_COMPACT);
		json_decref(body);
		if (!text) {
			free(path);
			return no_memory();
		}
		rq.body = text;
		rq.body_bytes = strlen(text);
	}
	ret = exchange(c, rq, path, NULL, &answer);
	free(text);
	if (ret)
		return ret;
	*doc = answer.body_bytes ? json_loadb(answer.body, answer.body_bytes, 0, &error) : json_object();
	lb_response_fini(&answer);
	if (!*doc)
		return lb_ctl_fail(LB_EXIT_REFUSED,
				   "lbd's answer is not JSON: %s; are lbd and lbctl " LB_VERSION " of one version?",
				   error.text);
	return LB_EXIT_DONE;
}

/* A request that changes something: silent when done, as ip(8) is, but with --json, or where it may not be meant. */
static int mutate(const struct lb_ctl *c, const char *method, char *path, json_t *body)
{
	json_t *doc = NULL;
	int ret = call(c, method, path, body, &doc);

	if (!ret && c->json)
		lb_show_json(doc);
	else if (!ret && *lb_doc_str(doc, "status.note"))
		fprintf(stderr, "lbctl: warning: %s: %s\n", c->words[0], lb_doc_str(doc, "status.note"));
	json_decref(doc);
	return ret;
}

#define PATH(...) lb_client_path((const char *const[]){__VA_ARGS__, NULL})

/* The options' values with @key: @value before them. */
static json_t *body_with(const struct lb_ctl *c, const char *key, const char *value)
{
	json_t *body = lb_args_body(c->args);

	if (body && json_object_set_new(body, key, json_string(value))) {
		json_decref(body);
		return NULL;
	}
	return body;
}

int lb_ctl_attach(struct lb_ctl *c)
{
	json_t *body = body_with(c, "name", c->words[0]), *doc = NULL;
	const char *note, *mode;
	bool generic; /* slower than what was hoped for */
	int ret;

	if (!body)
		return no_memory();
	ret = call(c, "POST", PATH("interfaces"), body, &doc);
	if (ret)
		return ret;
	note = json_string_value(json_object_get(doc, "note"));
	mode = json_string_value(json_object_get(doc, "mode"));
	generic = mode && !strcmp(mode, "generic");
	if (c->json)
		lb_show_json(doc);
	else if (note && *note)
		fprintf(stderr, "lbctl: %s: %s: %s\n", generic ? "warning" : "note", c->words[0], note);
	json_decref(doc);
	return LB_EXIT_DONE;
}

int lb_ctl_detach(struct lb_ctl *c)
{
	return mutate(c, "DELETE", PATH("interfaces", c->words[0]), NULL);
}

/* GET @path (taken over) and show it as @show does, or as JSON. @member: the part that @show takes; NULL: all. */
static int get(const struct lb_ctl *c, char *path, const char *member, void (*show)(const json_t *))
{
	json_t *doc = NULL;
	int ret = call(c, "GET", path, NULL, &doc);

	if (ret)
		return ret;
	if (c->json)
		lb_show_json(doc);
	else
		show(member ? json_object_get(doc, member) : doc);
	json_decref(doc);
	return LB_EXIT_DONE;
}

int lb_ctl_status(struct lb_ctl *c)
{
	char *path = PATH("status");

	if (lb_args_has(c->args, "verify"))
		path = lb_client_query(path, "verify", "1");
	return get(c, path, NULL, lb_show_status);
}

int lb_ctl_service_add(struct lb_ctl *c)
{
	json_t *body = body_with(c, "name", c->words[0]), *vips;

	vips = body ? json_object_get(body, "vip") : NULL;
	if (!vips && body && json_object_set_new(body, "vip", vips = json_array()))
		vips = NULL;
	if (!vips || json_array_insert_new(vips, 0, json_string(c->words[1]))) {
		json_decref(body);
		return no_memory();
	}
	return mutate(c, "POST", PATH("services"), body);
}

/* PATCH with what the options say; nothing said is a mistake. */
static int patch(const struct lb_ctl *c, char *path)
{
	json_t *body = lb_args_body(c->args);

	if (body && json_object_size(body))
		return mutate(c, "PATCH", path, body);
	free(path);
	json_decref(body);
	return body ? lb_ctl_misused(c, "say what to set, with an option") : no_memory();
}

int lb_ctl_service_set(struct lb_ctl *c)
{
	return patch(c, PATH("services", c->words[0]));
}

int lb_ctl_service_del(struct lb_ctl *c)
{
	return mutate(c, "DELETE", PATH("services", c->words[0]), NULL);
}

int lb_ctl_service_list(struct lb_ctl *c)
{
	return get(c, PATH("services"), "services", lb_show_services);
}

int lb_ctl_service_show(struct lb_ctl *c)
{
	return get(c, PATH("services", c->words[0]), NULL, lb_show_service);
}

int lb_ctl_backend_add(struct lb_ctl *c)
{
	json_t *body = body_with(c, "address", c->words[1]);

	if (!body)
		return no_memory();
	return mutate(c, "POST", PATH("services", c->words[0], "backends"), body);
}

int lb_ctl_backend_set(struct lb_ctl *c)
{
	return patch(c, PATH("services", c->words[0], "backends", c->words[1]));
}

int lb_ctl_backend_state(struct lb_ctl *c)
{
	static const char *const states[][2] = {{"drain", "draining"}, {"enable", "enabled"}, {"disable", "disabled"}};
	const char *state = NULL;
	json_t *body;

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (!strcmp(c->command->name, states[i][0]))
			state = states[i][1];
	body = body_with(c, "state", state);
	if (!body)
		return no_memory();
	return mutate(c, "PATCH", PATH("services", c->words[0], "backends", c->words[1]), body);
}

int lb_ctl_backend_del(struct lb_ctl *c)
{
	return mutate(c, "DELETE", PATH("services", c->words[0], "backends", c->words[1]), NULL);
}

/* Append @service's backends to @list, each with the service's name. */
static int collect(const json_t *service, json_t *list)
{
	json_t *backend, *row;
	size_t i;

	json_array_foreach (json_object_get(service, "backends"), i, backend) {
		row = json_object();
		if (!row || json_object_set(row, "service", json_object_get(service, "name")) ||
		    json_object_update(row, backend) || json_array_append(list, row)) {
			json_decref(row);
			return -ENOMEM;
		}
		json_decref(row);
	}
	return 0;
}

int lb_ctl_backend_list(struct lb_ctl *c)
{
	json_t *doc = NULL, *out = json_object(), *list = json_array(), *service;
	int ret, failed = 0;
	size_t i;

	if (!out || json_object_set_new(out, "backends", list)) {
		json_decref(out);
		return no_memory();
	}
	ret = call(c, "GET", PATH("services", c->words[0]), NULL, &doc);
	if (ret)
		goto out;
	if (c->words[0])
		failed = collect(doc, list);
	else
		json_array_foreach (json_object_get(doc, "services"), i, service)
			failed |= collect(service, list);
	if (failed)
		ret = no_memory();
	else if (c->json)
		lb_show_json(out);
	else
		lb_show_backends(list);
out:
	json_decref(doc);
	json_decref(out);
	return ret;
}

/* All of the file @name ("-": standard input), malloc'ed. */
static int read_file(const char *name, char **text, size_t *len)
{
	int fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, ret = LB_EXIT_DONE;
	char *buf = fd < 0 ? NULL : malloc(FILE_MAX_BYTES + 1);
	size_t have = 0;
	ssize_t n = 1;

	if (fd < 0)
		return lb_ctl_fail(LB_EXIT_REFUSED, "cannot read %s: %s", name, strerror(errno));
	if (!buf)
		ret = no_memory();
	while (buf && n > 0 && have <= FILE_MAX_BYTES) {
		n = read(fd, buf + have, FILE_MAX_BYTES + 1 - have);
		if (n > 0)
			have += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0)
		ret = lb_ctl_fail(LB_EXIT_REFUSED, "cannot read %s: %s", name, strerror(errno));
	else if (have > FILE_MAX_BYTES)
		ret = lb_ctl_fail(LB_EXIT_REFUSED, "%s is larger than 16 MiB, which is no configuration", name);
	if (fd != STDIN_FILENO)
		close(fd);
	if (ret) {
		free(buf);
		return ret;
	}
	*text = buf;
	*len = have;
	return LB_EXIT_DONE;
}

/* PUT the file that -f names; *@doc says what changed or, with @dry_run, would. */
static int put_file(const struct lb_ctl *c, bool dry_run, json_t **doc)
{
	const char *name = lb_args_value(c->args, "file");
	const char *generation = lb_args_value(c->args, "if-generation");
	struct lb_request rq = {.method = "PUT", .content_type = "application/yaml"};
	struct lb_response answer = {0};
	char *text = NULL, *path, tag[32];
	int ret;

	if (generation &&
	    (!*generation || strlen(generation) > 20 || strspn(generation, "0123456789") != strlen(generation)))
		return lb_ctl_misused(c, "--if-generation takes a number, not %s", lb_err_text(generation));
	ret = read_file(name, &text, &rq.body_bytes);
	if (ret)
		return ret;
	rq.body = text;
	if (generation) {
		snprintf(tag, sizeof(tag), "\"%s\"", generation);
		rq.if_match = tag;
	}
	path = lb_client_query(PATH("config"), "name", strcmp(name, "-") ? name : "stdin");
	if (dry_run)
		path = lb_client_query(path, "dry_run", "1");
	ret = exchange(c, rq, path, NULL, &answer);
	free(text);
	if (ret)
		return ret;
	*doc = json_loadb(answer.body, answer.body_bytes, 0, NULL);
	lb_response_fini(&answer);
	if (!json_is_array(json_object_get(*doc, "changes"))) {
		json_decref(*doc);
		*doc = NULL;
		return lb_ctl_fail(LB_EXIT_REFUSED, "lbd's answer is no list of changes; are lbd and lbctl " LB_VERSION
						    " of one version?");
	}
	return LB_EXIT_DONE;
}

int lb_ctl_apply(struct lb_ctl *c)
{
	bool dry_run = lb_args_has(c->args, "dry-run");
	json_t *doc = NULL, *changes;
	size_t nr;
	int ret = put_file(c, dry_run, &doc);

	if (ret)
		return ret;
	changes = json_object_get(doc, "changes");
	nr = json_array_size(changes);
	if (c->json) {
		lb_show_json(doc);
	} else {
		if (dry_run)
			lb_show_changes(changes);
		if (nr)
			printf("%zu change%s%s\n", nr, nr == 1 ? "" : "s", dry_run ? ", not made" : "");
		else
			puts("no changes");
	}
	json_decref(doc);
	return LB_EXIT_DONE;
}

int lb_ctl_diff(struct lb_ctl *c)
{
	json_t *doc = NULL, *changes;
	int ret = put_file(c, true, &doc);

	if (ret)
		return ret;
	changes = json_object_get(doc, "changes");
	if (c->json)
		lb_show_json(doc);
	else
		lb_show_changes(changes);
	ret = json_array_size(changes) ? LB_EXIT_REFUSED : LB_EXIT_DONE;
	json_decref(doc);
	return ret;
}

int lb_ctl_export(struct lb_ctl *c)
{
	struct lb_request rq = {.method = "GET", .accept = "application/yaml"};
	struct lb_response answer = {0};
	int ret;

	if (c->json)
		return get(c, PATH("config"), NULL, lb_show_json);
	ret = exchange(c, rq, PATH("config"), NULL, &answer);
	if (ret)
		return ret;
	fwrite(answer.body, 1, answer.body_bytes, stdout);
	lb_response_fini(&answer);
	return LB_EXIT_DONE;
}

/* lbctl's own version is known without lbd, so that an lbd that is away is no failure here. */
int lb_ctl_version(struct lb_ctl *c)
{
	struct lb_request rq = {.method = "GET"};
	struct lb_response answer = {0};
	struct lb_client *client = NULL;
	char *path = PATH("status");
	json_t *status = NULL, *doc;
	const char *version;

	rq.path = path;
	if (path && !lb_client_new(socket_path(c), &client, NULL) && !lb_client_do(client, &rq, &answer, NULL))
		status = json_loadb(answer.body, answer.body_bytes, 0, NULL);
	version = json_string_value(json_object_get(status, "version"));
	if (c->json) {
		doc = json_pack("{s:s, s:s?, s:O?}", "lbctl", LB_VERSION, "lbd", version, "abi",
				json_object_get(status, "abi"));
		lb_show_json(doc);
		json_decref(doc);
	} else {
		printf("lbctl %s\nlbd   %s\n", LB_VERSION, version ? version : "(cannot be reached)");
	}
	json_decref(status);
	lb_response_fini(&answer);
	lb_client_free(client);
	free(path);
	return LB_EXIT_DONE;
}

int lb_ctl_call(const struct lb_ctl *c, const char *method, char *path, json_t *body, json_t **doc)
{
	return call(c, method, path, body, doc);
}

int lb_ctl_stream(const struct lb_ctl *c, char *path, bool (*line)(void *ctx, const char *text), void *ctx)
{
	const struct lb_request rq = {.method = "GET", .accept = "application/x-ndjson"};
	const struct sink sink = {.line = line, .ctx = ctx};
	struct lb_response answer = {0};
	int ret = exchange(c, rq, path, &sink, &answer);

	lb_response_fini(&answer);
	return ret;
}
