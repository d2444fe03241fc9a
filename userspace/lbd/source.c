// SPDX-License-Identifier: GPL-2.0-or-later
/* How the file and the state join: one rule, written down in docs/operations.md. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "log.h"
#include "source.h"

int lb_source_file(const char *path, struct lb_config **out, char fingerprint[LB_FINGERPRINT_LEN], struct lb_err *err)
{
	char *text;
	size_t len;
	int ret;

	ret = lb_file_read(path, &text, &len, err);
	if (ret)
		return ret;
	lb_fingerprint(text, len, fingerprint);
	ret = lb_document_read(text, len, path, out, err);
	free(text);
	return ret;
}

void lb_source_locate(const char *path, struct lb_err *err)
{
	char *text;
	size_t len;

	if (lb_file_read(path, &text, &len, NULL))
		return;
	lb_document_locate(text, len, path, err);
	free(text);
}

static void take_file(struct lb_state *state, struct lb_config *file, const char *fingerprint,
		      struct lb_config **previous)
{
	if (!file->has_hash_key && state->config && state->config->has_hash_key) {
		memcpy(file->hash_key, state->config->hash_key, sizeof(file->hash_key));
		file->has_hash_key = true;
	}
	*previous = state->config;
	state->config = file;
	memcpy(state->fingerprint, fingerprint, LB_FINGERPRINT_LEN);
}

int lb_source_start(const struct lb_control_options *options, struct lb_state *out, struct lb_config **previous,
		    struct lb_err *err)
{
	char fingerprint[LB_FINGERPRINT_LEN];
	struct lb_state state = {0};
	struct lb_config *file = NULL;
	int ret;

	*previous = NULL;
	ret = lb_source_file(options->config_path, &file, fingerprint, err);
	if (ret == -ENOENT && !options->config_explicit)
		ret = 0;
	if (ret)
		return ret;
	ret = lb_store_load(options->state_dir, &state, err);
	if (ret && ret != -ENOENT) {
		lb_config_free(file);
		return ret;
	}
	if (file && (!state.config || strcmp(state.fingerprint, fingerprint)))
		take_file(&state, file, fingerprint, previous);
	else
		lb_config_free(file);
	if (!state.config)
		state.config = lb_config_new();
	if (!state.config)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	*out = state;
	return 0;
}
