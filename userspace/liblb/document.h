/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration as text: one decoder for the YAML file, the CLI and the API (JSON is YAML), driven by one table
 * of fields (fields.h), and one encoder. Called by lbd.
 *
 * Errors name file, line and path: `lbd.yaml:14: services[2].port: 70000 is not a port (1-65535)`; an unknown key
 * names the nearest known one. @name is the file's name as errors show it; NULL: no file and line, the path alone.
 */
#ifndef LB_DOCUMENT_H
#define LB_DOCUMENT_H

#include <jansson.h>

#include "conf.h"
#include "nearest.h"
#include "text.h"

/* A whole configuration. @out is the caller's; lb_config_check has been run on it. */
int lb_document_read(const char *text, size_t len, const char *name, struct lb_config **out, struct lb_err *err);

/* lb_document_locate - the configuration that @text was read as has been refused because of one of its interfaces: put
 * the file's name and line where @err has the interface's name. Other errors stay as they are. */
void lb_document_locate(const char *text, size_t len, const char *name, struct lb_err *err);

/* Parts, for the API. A patch changes the keys it has and leaves the others (`backends` replaces the list);
 * a new service starts as a copy of @defaults. Nothing is changed on error. */
int lb_document_read_service(const char *text, size_t len, const struct lb_service_conf *defaults,
			     struct lb_service_conf *out, struct lb_err *err);
int lb_document_patch_service(const char *text, size_t len, struct lb_service_conf *s, struct lb_err *err);
/* @out's name, where it has one, is the caller's to free. */
int lb_document_read_backend(const char *text, size_t len, struct lb_backend_conf *out, struct lb_err *err);
int lb_document_patch_backend(const char *text, size_t len, struct lb_backend_conf *b, struct lb_err *err);
int lb_document_read_iface(const char *text, size_t len, struct lb_iface_conf *out, struct lb_err *err);

/* Encoders: new references, NULL when out of memory. What they write, the readers read back as the same. */
json_t *lb_document_config(const struct lb_config *c);
json_t *lb_document_service(const struct lb_service_conf *s);
json_t *lb_document_backend(const struct lb_backend_conf *b);
json_t *lb_document_iface(const struct lb_iface_conf *i);

/* lb_document_service_text - service @s of @c as it is in lb_document_config, as compact JSON. Backends that are in
 * @was, an older version of it, too, are taken from its text @from; both may be NULL. 0, or -ENOMEM with *@out empty. */
struct lb_service_text {
	char *at; /* NUL-terminated */
	size_t len;
	size_t *backend; /* where each one's text begins, and, last, where the next one's would: a byte is between two */
};
int lb_document_service_text(const struct lb_config *c, const struct lb_service_conf *s,
			     const struct lb_service_conf *was, const struct lb_service_text *from,
			     struct lb_service_text *out);
void lb_service_text_fini(struct lb_service_text *t);

/* The same as lb_document_service, without the backends, and as lb_document_backend, both without the closing brace, so
 * that what is known at run time can follow. */
void lb_document_put_service(struct lb_text *t, const struct lb_service_conf *s);
void lb_document_put_backend(struct lb_text *t, const struct lb_backend_conf *b);

/* lb_document_config_* - the whole configuration bit by bit, as JSON or as block-style YAML: begin, then each service in
 * order, then end. @c must stay as it is meanwhile. A service is written from its backend @from on, with at most @max of
 * them; returns where to go on, 0: it is done. */
void lb_document_config_begin(struct lb_text *t, const struct lb_config *c, bool yaml);
size_t lb_document_config_service(struct lb_text *t, const struct lb_config *c, size_t i, size_t from, size_t max,
				  bool yaml);
void lb_document_config_end(struct lb_text *t, const struct lb_config *c, bool yaml);

/* The whole configuration as block-style YAML, malloc'ed. */
char *lb_document_yaml(const struct lb_config *c);

#endif
