// SPDX-License-Identifier: GPL-2.0-or-later
/* The API's handlers for services and backends: each changes a copy of the configuration and applies it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "document.h"
#include "names.h"
#include "render.h"

void lb_api_no_service(struct lb_api_call *call, const char *name)
{
	struct lb_config *conf = lb_config_copy(call->control->config);
	struct lb_err err = {0};

	if (!conf)
		lb_api_no_memory(call);
	else if (lb_config_del_service(conf, name, &err))
		lb_api_error(call, &err);
	lb_config_free(conf);
}

static const struct lb_model_service *running(struct lb_api_call *call, const char *name)
{
	return lb_model_service(call->control->model, name);
}

void lb_api_services_get(struct lb_api_call *call)
{
	lb_api_answer_services(call);
}

void lb_api_service_get(struct lb_api_call *call)
{
	if (running(call, call->arg[0]))
		lb_api_answer_service(call, 200, call->arg[0]);
	else
		lb_api_no_service(call, call->arg[0]);
}

void lb_api_services_post(struct lb_api_call *call)
{
	struct lb_config *conf = lb_config_copy(call->control->config);
	struct lb_service_conf service = {0};
	struct lb_err err = {0};
	char name[LB_NAME_MAX];
	int ret;

	if (!conf) {
		lb_api_no_memory(call);
		return;
	}
	ret = lb_document_read_service(call->req->body, call->req->body_len, &conf->defaults, &service, &err);
	if (!ret) {
		memcpy(name, service.name, sizeof(name));
		ret = lb_config_add_service(conf, &service, &err);
		lb_service_conf_fini(&service);
	}
	if (ret) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		lb_api_answer_service(call, 201, name);
}

/* A copy of the configuration and in it the service that the path names. Answers and returns NULL when there is none.
 */
static struct lb_config *open_service(struct lb_api_call *call, struct lb_service_conf **s)
{
	struct lb_config *conf = lb_config_copy(call->control->config);

	if (!conf) {
		lb_api_no_memory(call);
		return NULL;
	}
	*s = lb_config_service(conf, call->arg[0]);
	if (*s)
		return conf;
	lb_config_free(conf);
	lb_api_no_service(call, call->arg[0]);
	return NULL;
}

void lb_api_service_patch(struct lb_api_call *call)
{
	struct lb_service_conf *s;
	struct lb_config *conf = open_service(call, &s);
	struct lb_err err = {0};
	int ret;

	if (!conf)
		return;
	ret = lb_document_patch_service(call->req->body, call->req->body_len, s, &err);
	if (ret) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		lb_api_answer_service(call, 200, call->arg[0]);
}

void lb_api_service_delete(struct lb_api_call *call)
{
	struct lb_config *conf = lb_config_copy(call->control->config);
	struct lb_err err = {0};

	if (!conf) {
		lb_api_no_memory(call);
		return;
	}
	if (lb_config_del_service(conf, call->arg[0], &err)) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		call->resp->status = 204;
}

/* The backend is a name: what it is in the configuration, and how looking it up goes. */
static bool answer_name(struct lb_api_call *call, unsigned int status, const struct lb_endpoint *address)
{
	const struct lb_service_conf *s = lb_config_service(call->control->config, call->arg[0]);
	const struct lb_backend_conf *b = s ? lb_service_conf_backend(s, address) : NULL;

	if (!b || !lb_backend_is_name(b))
		return false;
	lb_api_answer_name(call, status, b);
	return true;
}

/* Why @ep is no backend that could be changed: what is near, or where it comes from. */
static void no_backend(struct lb_api_call *call, struct lb_service_conf *s, const struct lb_endpoint *ep,
		       struct lb_err *err)
{
	const struct lb_model_service *now = running(call, s->name);
	const struct lb_backend_conf *b = now ? lb_service_conf_backend(&now->conf, ep) : NULL;

	if (b && b->name)
		lb_err_set(err, -ENOENT, NULL, "%.64s is an address of %s, which is the backend to change",
			   call->arg[1], b->name);
	else if (ep->addr[0] == 0xff)
		lb_err_set(err, -ENOENT, NULL, "service %s has no backend %.128s", s->name, call->arg[1]);
	else
		lb_service_conf_del_backend(s, ep, err);
}

static void answer_backend(struct lb_api_call *call, unsigned int status, const struct lb_endpoint *address)
{
	const struct lb_model_service *s = running(call, call->arg[0]);

	if (answer_name(call, status, address))
		return;
	for (size_t i = 0; s && i < s->conf.nr_backends; i++) {
		const struct lb_endpoint *at = &s->conf.backends[i].address;

		if (!memcmp(at->addr, address->addr, sizeof(at->addr)) && at->port == address->port) {
			lb_api_answer_backend(call, status, s, i);
			return;
		}
	}
	lb_api_problem(call, 500, "the backend was applied and is not in the model");
}

void lb_api_backends_post(struct lb_api_call *call)
{
	struct lb_service_conf *s;
	struct lb_config *conf = open_service(call, &s);
	struct lb_backend_conf backend = {0};
	struct lb_err err = {0};
	int ret;

	if (!conf)
		return;
	ret = lb_document_read_backend(call->req->body, call->req->body_len, &backend, &err);
	if (!ret)
		ret = lb_service_conf_add_backend(s, &backend, &err);
	free(backend.name);
	if (ret) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		answer_backend(call, 201, &backend.address);
}

/* Parses the path's address; for errors as open_service. */
static struct lb_config *open_backend(struct lb_api_call *call, struct lb_service_conf **s, struct lb_endpoint *ep)
{
	struct lb_config *conf = open_service(call, s);
	struct lb_err err = {0};

	if (!conf || !lb_backend_key(call->arg[1], ep, &err))
		return conf;
	lb_config_free(conf);
	lb_api_error(call, &err);
	return NULL;
}

void lb_api_backend_patch(struct lb_api_call *call)
{
	struct lb_service_conf *s;
	struct lb_endpoint ep, address;
	struct lb_config *conf = open_backend(call, &s, &ep);
	struct lb_backend_conf *b;
	struct lb_err err = {0};
	int ret;

	if (!conf)
		return;
	b = lb_service_conf_backend(s, &ep);
	if (!b) {
		no_backend(call, s, &ep, &err);
		ret = -ENOENT;
	} else {
		address = b->address; /* with the port it has: @ep may lack it */
		ret = lb_document_patch_backend(call->req->body, call->req->body_len, b, &err);
	}
	if (ret) {
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	if (lb_api_apply(call, conf, false))
		answer_backend(call, 200, &address);
}

void lb_api_backend_delete(struct lb_api_call *call)
{
	struct lb_service_conf *s;
	struct lb_endpoint ep;
	struct lb_config *conf = open_backend(call, &s, &ep);
	struct lb_err err = {0};

	if (!conf)
		return;
	if (!lb_service_conf_backend(s, &ep)) {
		no_backend(call, s, &ep, &err);
		lb_config_free(conf);
		lb_api_error(call, &err);
		return;
	}
	lb_service_conf_del_backend(s, &ep, &err);
	if (lb_api_apply(call, conf, false))
		call->resp->status = 204;
}
