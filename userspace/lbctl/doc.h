/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of the API's documents by their path, and as people read them. For what lbctl prints: output*.c. */
#ifndef LBCTL_DOC_H
#define LBCTL_DOC_H

#include <jansson.h>

#define LB_DOC_TEXT 256 /* room for any of the texts below */

/* lb_doc_at - the value at "status.slots.stable", borrowed; NULL: there is none. */
const json_t *lb_doc_at(const json_t *doc, const char *path);
/* "" and 0 where there is none. */
const char *lb_doc_str(const json_t *doc, const char *path);
json_int_t lb_doc_num(const json_t *doc, const char *path);
/* lb_doc_text - any scalar as text; of a list the first and how many more; "-" for nothing. */
const char *lb_doc_text(const json_t *value, char buf[LB_DOC_TEXT]);
/* lb_doc_count - in at most seven characters; --json has all digits. */
const char *lb_doc_count(json_int_t n, char buf[LB_DOC_TEXT]);
/* lb_doc_up_of - "2/3": how many backends of @service are up, of how many. */
const char *lb_doc_up_of(const json_t *service, char buf[LB_DOC_TEXT]);

#endif
