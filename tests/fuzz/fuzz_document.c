/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer on the configuration's text: whatever it is, it is refused with one line or it is a configuration that
 * holds, and whose export reads back as itself. tests/golden/document is the corpus to start from.
 */
#include <stdlib.h>
#include <string.h>

#include "document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_config(const char *text, size_t len)
{
	struct lb_config *c = NULL, *again = NULL;
	struct lb_err err = {0};
	char *first, *second;

	if (lb_document_read(text, len, "fuzz.yaml", &c, &err)) {
		if (c || !*err.message || strchr(lb_err_str(&err), '\n') || !lb_text_is_utf8(lb_err_str(&err)))
			abort();
		return;
	}
	if (lb_config_check(c, NULL))
		abort();
	first = lb_document_yaml(c);
	if (!first || lb_document_read(first, strlen(first), NULL, &again, &err))
		abort();
	second = lb_document_yaml(again);
	if (!second || strcmp(first, second) || lb_config_diff(c, again, NULL, NULL))
		abort();
	free(first);
	free(second);
	lb_config_free(again);
	lb_config_free(c);
}

/* A patch that is refused changes nothing. */
static void fuzz_patch(const char *text, size_t len)
{
	struct lb_config *c = lb_config_new();
	struct lb_service_conf s;
	struct lb_err err;

	if (!c || lb_service_conf_copy(&s, &c->defaults))
		abort();
	strcpy(s.name, "web");
	if (lb_document_patch_service(text, len, &s, &err) &&
	    (s.nr_vips || s.nr_backends || memcmp(&s.check, &c->defaults.check, sizeof(s.check))))
		abort();
	lb_service_conf_fini(&s);
	lb_config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_config((const char *)data, size);
	fuzz_patch((const char *)data, size);
	return 0;
}
