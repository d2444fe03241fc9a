// SPDX-License-Identifier: GPL-2.0-or-later
/* The API's handlers for the daemon, the whole configuration and the interfaces. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "document.h"
#include "pause.h"
#include "render.h"

#define BODY_SMALL 16384 /* bytes that are read in a millisecond */

/* ?NAME=0 or 1; answers and returns false when it is anything else. */
static bool read_flag(struct lb_api_call *call, const char *name, bool *flag)
{
	const char *text = lb_http_query(call->req, name);
	char why[64];

	*flag = text && !strcmp(text, "1");
	if (!text || *flag || !strcmp(text, "0"))
		return true;
	snprintf(why, sizeof(why), "%s: must be 0 or 1", name);
	lb_api_problem(call, 400, why);
	return false;
}

void lb_api_status_get(struct lb_api_call *call)
{
	struct lb_verification *v = NULL;
	struct lb_err err = {0};
	json_t *status;
	bool verify;
	int ret = 0;

	if (!read_flag(call, "verify", &verify))
		return;
	if (verify) {
		v = malloc(sizeof(*v));
		ret = v ? lb_control_verify(call->control, v, &err) : lb_err_set(&err, -ENOMEM, NULL, "out of memory");
	}
	if (ret) {
		lb_api_error(call, &err);
		goto out;
	}
	status = lb_render_status(call->control);
	if (v && status && json_object_set_new(status, "verify", lb_render_verification(v))) {
		json_decref(status);
		status = NULL;
	}
	lb_api_json(call, 200, status);
out:
	free(v);
}

void lb_api_config_get(struct lb_api_call *call)
{
	lb_api_answer_config(call, lb_api_prefers_yaml(lb_http_header(call->req, "Accept")));
}

static void add_change(void *ctx, const char *op, const char *path, const char *from, const char *to)
{
	json_array_append_new(ctx, json_pack("{s:s, s:s, s:s?, s:s?}", "op", op, "path", path, "from", from, "to", to));
}

/* The body as a configuration; answers and returns NULL when it is none. */
static struct lb_config *read_body(struct lb_api_call *call)
{
	const char *name = lb_http_query(call->req, "name");
	struct lb_config *conf = NULL;
	struct lb_err err = {0};
	int ret;

	if (call->req->body_len > BODY_SMALL)
		lb_block_begin();
	ret = lb_document_read(call->req->body, call->req->body_len, name, &conf, &err);
	if (call->req->body_len > BODY_SMALL)
		lb_block_end();
	if (!ret)
		return conf;
	lb_api_error(call, &err);
	return NULL;
}

void lb_api_config_put(struct lb_api_call *call)
{
	struct lb_config *conf;
	struct lb_err err = {0};
	json_t *changes;
	bool dry_run;
	int nr, ret;

	if (!read_flag(call, "dry_run", &dry_run))
		return;
	conf = read_body(call);
	if (!conf)
		return;
	changes = json_array();
	if (!changes) {
		lb_config_free(conf);
		lb_api_no_memory(call);
		return;
	}
	lb_control_inherit(call->control, conf);
	nr = lb_config_diff(call->control->config, conf, add_change, changes);
	if (dry_run) {
		ret = lb_ifaces_would(&call->control->ifaces, conf, &err);
		lb_config_free(conf);
	} else {
		ret = lb_control_apply(call->control, conf, &(struct lb_origin){"api", lb_http_caller(call->req)}, true,
				       NULL, &err);
	}
	if (ret) {
		lb_document_locate(call->req->body, call->req->body_len, lb_http_query(call->req, "name"), &err);
		lb_api_error(call, &err);
		json_decref(changes);
		return;
	}
	lb_api_json(call, 200, json_pack("{s:b, s:I, s:o}", "changed", nr > 0, "generation",
					 (json_int_t)call->control->generation, "changes", changes));
}

void lb_api_config_check(struct lb_api_call *call)
{
	struct lb_config *conf = read_body(call);

	if (!conf)
		return;
	lb_config_free(conf);
	lb_api_json(call, 200, json_object());
}

void lb_api_iface_post(struct lb_api_call *call)
{
	struct lb_config *conf = lb_config_copy(call->control->config);
	struct lb_iface_conf iface = {0};
	struct lb_err err = {0};
	int ret;

	if (!conf) {
		lb_api_no_memory(call);
		return;
	}
	ret = lb_document_read_iface(call->req->body, call->req->body_len, &iface, &err);
	if (!ret)
		ret = lb_config_add_iface(conf, &iface, &err);
	if (ret) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		lb_api_json(call, 201, lb_render_iface(lb_ifaces_find(&call->control->ifaces, iface.name)));
}

void lb_api_iface_delete(struct lb_api_call *call)
{
	struct lb_config *conf = lb_config_copy(call->control->config);
	struct lb_err err = {0};

	if (!conf) {
		lb_api_no_memory(call);
		return;
	}
	if (lb_config_del_iface(conf, call->arg[0], &err)) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		call->resp->status = 204;
}
