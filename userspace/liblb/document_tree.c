/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From text to nodes, by libfyaml's events and not by its documents: depth, size and aliases are limited here, as they
 * come, and every node keeps its line.
 */
#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document_tree.h"

#define DEPTH_MAX 32
#define ANCHORS_MAX 1024
#define CHUNK_BYTES 65536
/* Brackets open at once, counted without looking for quotes: the scanner reads far ahead of its events on one line. */
#define BRACKETS_MAX 4096

struct lb_chunk {
	struct lb_chunk *next;
	size_t used, size;
	char data[] __attribute__((aligned(16)));
};

struct anchor {
	char *name;
	const struct lb_node *node;
};

struct builder {
	struct lb_tree *tree;
	struct lb_err *err;
	const char *text;   /* what libfyaml reads */
	unsigned int line;  /* of the event at hand */
	unsigned int split; /* the line that break_line() split; 0: none */
	unsigned int nr_lines;
	size_t nr_nodes, nr_anchors, depth;
	struct lb_node *open[DEPTH_MAX], *last[DEPTH_MAX];
	bool root_done;
	struct anchor anchors[ANCHORS_MAX];
};

static void *take(struct lb_tree *tree, size_t size)
{
	struct lb_chunk *c = tree->chunks;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->size - c->used < size) {
		size_t want = size > CHUNK_BYTES ? size : CHUNK_BYTES;

		c = malloc(sizeof(*c) + want);
		if (!c)
			return NULL;
		*c = (struct lb_chunk){.next = tree->chunks, .size = want};
		tree->chunks = c;
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

void lb_tree_fini(struct lb_tree *tree)
{
	struct lb_chunk *next;

	for (struct lb_chunk *c = tree->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	*tree = (struct lb_tree){0};
}

static int no_memory(struct builder *b)
{
	return lb_err_set(b->err, -ENOMEM, NULL, "out of memory");
}

/* Two escaped quotes side by side in a single-quoted text ('a''''b'): libfyaml 0.7.12 gives another text for them, and
 * loses memory. *@out NULL: not such a text. */
static int take_quotes(struct builder *b, struct fy_token *token, char **out)
{
	const struct fy_mark *start = fy_token_start_mark(token), *end = fy_token_end_mark(token);
	const char *from, *to;
	char *p;

	*out = NULL;
	if (fy_token_scalar_style(token) != FYSS_SINGLE_QUOTED || !start || !end)
		return 0;
	from = b->text + start->input_pos;
	to = b->text + end->input_pos;
	if (!memmem(from, (size_t)(to - from), "''''", 4))
		return 0;
	if (memchr(from, '\n', (size_t)(to - from)))
		return lb_err_set(b->err, -EINVAL, NULL,
				  "two quotes side by side in a text of several lines; write it in \"\"");
	p = *out = take(b->tree, (size_t)(to - from) + 1);
	if (!p)
		return no_memory(b);
	for (; from < to; from++) {
		*p++ = *from;
		if (*from == '\'')
			from++;
	}
	*p = '\0';
	return 0;
}

/* A copy of the token's text; refused with a NUL inside, which only an escape can have brought. */
static int take_text(struct builder *b, struct fy_token *token, char **out)
{
	const char *text = "";
	size_t len = 0;
	int ret;

	if (token) {
		ret = take_quotes(b, token, out);
		if (ret || *out)
			return ret;
		text = fy_token_get_text(token, &len);
	}
	if (!text)
		return no_memory(b);
	if (memchr(text, '\0', len))
		return lb_err_set(b->err, -EINVAL, NULL, "a text has a NUL character inside; leave it out");
	*out = take(b->tree, len + 1);
	if (!*out)
		return no_memory(b);
	memcpy(*out, text, len);
	(*out)[len] = '\0';
	return 0;
}

static bool is_null(const char *text)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i]))
			return true;
	return false;
}

/* Hangs a new node below the innermost open one. */
static int add_node(struct builder *b, enum lb_node_kind kind, struct lb_node **out)
{
	struct lb_node *n, *parent = b->depth ? b->open[b->depth - 1] : NULL;

	if (++b->nr_nodes > LB_TREE_NODES_MAX)
		return lb_err_set(b->err, -EINVAL, NULL, "more than %u values; make it smaller", LB_TREE_NODES_MAX);
	if (parent && parent->kind == LB_NODE_MAP && parent->nr % 2 == 0 && kind != LB_NODE_TEXT)
		return lb_err_set(b->err, -EINVAL, NULL, "a key must be a plain text");
	n = take(b->tree, sizeof(*n));
	if (!n)
		return no_memory(b);
	*n = (struct lb_node){.kind = kind, .line = b->line};
	if (!parent) {
		b->tree->root = n;
	} else {
		if (parent->nr++)
			b->last[b->depth - 1]->next = n;
		else
			parent->first = n;
		b->last[b->depth - 1] = n;
	}
	*out = n;
	return 0;
}

static int add_anchor(struct builder *b, struct fy_token *token, const struct lb_node *node)
{
	int ret;

	if (!token)
		return 0;
	if (b->nr_anchors == ANCHORS_MAX)
		return lb_err_set(b->err, -EINVAL, NULL, "more than %d anchors", ANCHORS_MAX);
	ret = take_text(b, token, &b->anchors[b->nr_anchors].name);
	if (!ret)
		b->anchors[b->nr_anchors++].node = node;
	return ret;
}

static int refuse_tag(struct builder *b, struct fy_token *tag)
{
	return tag ? lb_err_set(b->err, -EINVAL, NULL, "tags (such as !!str) have no meaning here; leave it out") : 0;
}

static int on_scalar(struct builder *b, const struct fy_event_scalar_data *scalar)
{
	bool plain = !scalar->value || fy_token_scalar_style(scalar->value) == FYSS_PLAIN;
	struct lb_node *n, *parent = b->depth ? b->open[b->depth - 1] : NULL;
	bool is_key = parent && parent->kind == LB_NODE_MAP && parent->nr % 2 == 0;
	char *text;
	int ret;

	ret = refuse_tag(b, scalar->tag);
	if (!ret)
		ret = take_text(b, scalar->value, &text);
	if (!ret)
		ret = add_node(b, plain && !is_key && is_null(text) ? LB_NODE_NULL : LB_NODE_TEXT, &n);
	if (ret)
		return ret;
	n->text = text;
	return add_anchor(b, scalar->anchor, n);
}

static int on_start(struct builder *b, enum lb_node_kind kind, struct fy_token *anchor, struct fy_token *tag)
{
	struct lb_node *n;
	int ret;

	if (b->depth == DEPTH_MAX)
		return lb_err_set(b->err, -EINVAL, NULL, "nested deeper than %d levels", DEPTH_MAX);
	ret = refuse_tag(b, tag);
	if (!ret)
		ret = add_node(b, kind, &n);
	if (!ret)
		ret = add_anchor(b, anchor, n);
	if (!ret) {
		b->last[b->depth] = NULL;
		b->open[b->depth++] = n;
	}
	return ret;
}

/* An alias is a node that shares its anchor's children. */
static int on_alias(struct builder *b, struct fy_token *token)
{
	const struct lb_node *to = NULL;
	struct lb_node *n;
	char *name;
	int ret;

	ret = take_text(b, token, &name);
	if (ret)
		return ret;
	/* An anchor may be given again: the latest counts. */
	for (size_t i = b->nr_anchors; !to && i > 0; i--)
		if (!strcmp(b->anchors[i - 1].name, name))
			to = b->anchors[i - 1].node;
	if (!to)
		return lb_err_set(b->err, -EINVAL, NULL, "there is no anchor &%.64s before this", name);
	for (size_t i = 0; i < b->depth; i++)
		if (b->open[i] == to)
			return lb_err_set(b->err, -EINVAL, NULL, "*%.64s stands inside its own anchor", name);
	ret = add_node(b, to->kind, &n);
	if (ret)
		return ret;
	n->nr = to->nr;
	n->text = to->text;
	n->first = to->first;
	return 0;
}

static int on_event(struct builder *b, struct fy_event *e)
{
	switch (e->type) {
	case FYET_DOCUMENT_START:
		if (b->root_done)
			return lb_err_set(b->err, -EINVAL, NULL, "a second document begins here; a file has one");
		return 0;
	case FYET_DOCUMENT_END:
		b->root_done = true;
		return 0;
	case FYET_SCALAR:
		return on_scalar(b, &e->scalar);
	case FYET_ALIAS:
		return on_alias(b, e->alias.anchor);
	case FYET_SEQUENCE_START:
		return on_start(b, LB_NODE_LIST, e->sequence_start.anchor, e->sequence_start.tag);
	case FYET_MAPPING_START:
		return on_start(b, LB_NODE_MAP, e->mapping_start.anchor, e->mapping_start.tag);
	case FYET_SEQUENCE_END:
	case FYET_MAPPING_END:
		b->depth--;
		return 0;
	default:
		return 0;
	}
}

/* libfyaml's line to the text's own; an end that is missing is not behind the last line but in it. */
static unsigned int own_line(const struct builder *b, int line)
{
	unsigned int own = (unsigned int)line - (b->split && (unsigned int)line > b->split);

	return own < b->nr_lines ? own : b->nr_lines;
}

/* What the parser itself has to say: its first error. */
static int refuse_syntax(struct builder *b, struct fy_diag *diag)
{
	void *iter = NULL;
	const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &iter);

	if (!e || !e->msg)
		return lb_err_set(b->err, -EINVAL, NULL, "not valid YAML or JSON");
	if (e->line > 0)
		b->line = own_line(b, e->line);
	return lb_err_set(b->err, -EINVAL, NULL, "not valid YAML: %.200s", e->msg);
}

static int build(struct builder *b, struct fy_parser *parser, struct fy_diag *diag)
{
	struct fy_event *e;
	int ret = 0;

	while (!ret && (e = fy_parser_parse(parser))) {
		const struct fy_mark *mark = fy_event_start_mark(e);

		/* An absent value has no place of its own: it is where its key is. */
		if (mark && mark->line >= 0)
			b->line = own_line(b, mark->line + 1);
		ret = on_event(b, e);
		fy_parser_event_free(parser, e);
	}
	if (!ret && fy_parser_get_stream_error(parser))
		ret = refuse_syntax(b, diag);
	return ret;
}

/* What libfyaml shall not see: texts that are none, directives (0.7.12 does not come back from some of them), and
 * nesting that it would scan to its end first. */
static int check_raw(struct builder *b, const char *text, size_t len)
{
	size_t open = 0, n;
	bool line_start = true;

	b->line = 0;
	if (len > LB_TREE_BYTES_MAX)
		return lb_err_set(b->err, -EINVAL, NULL, "larger than %u MiB; make it smaller",
				  LB_TREE_BYTES_MAX >> 20);
	b->line = 1;
	for (size_t at = 0; at < len; at += n) {
		unsigned char byte = (unsigned char)text[at];

		n = lb_utf8_len(text + at, len - at);
		if (!n)
			return lb_err_set(b->err, -EINVAL, NULL, "byte 0x%02x is not UTF-8; save it as UTF-8", byte);
		if ((byte < ' ' && !strchr("\t\n\r", byte)) || !byte || byte == 0x7f)
			return lb_err_set(b->err, -EINVAL, NULL, "control character 0x%02x; leave it out", byte);
		if (byte == '%' && line_start)
			return lb_err_set(b->err, -EINVAL, NULL, "directives have no meaning here; leave the line out");
		b->line += byte == '\n';
		/* A byte order mark is no column. */
		line_start =
			byte == '\n' || byte == '\r' || (line_start && n == 3 && !memcmp(text + at, "\xef\xbb\xbf", 3));
		if (byte == '[' || byte == '{')
			open++;
		else if ((byte == ']' || byte == '}') && open)
			open--;
		if (open > BRACKETS_MAX)
			return lb_err_set(b->err, -EINVAL, NULL, "nested deeper than %d levels", DEPTH_MAX);
	}
	b->nr_lines = b->line - (len > 1 && text[len - 1] == '\n');
	b->line = 1;
	return 0;
}

/* A JSON text in one line: its first bracket might open a key as long as the line, so libfyaml keeps every token of it,
 * some hundred times the text. A line's end behind the bracket says that it does not. NULL in *@copy: nothing to do. */
static int break_line(struct builder *b, const char *text, size_t len, char **copy)
{
	unsigned int line = 1;
	size_t at = 0;

	*copy = NULL;
	for (; at < len && strchr(" \t\r\n", text[at]); at++)
		line += text[at] == '\n';
	if (at == len || (text[at] != '{' && text[at] != '['))
		return 0;
	*copy = malloc(len + 1);
	if (!*copy)
		return no_memory(b);
	memcpy(*copy, text, ++at);
	(*copy)[at] = '\n';
	memcpy(*copy + at + 1, text + at, len - at);
	b->split = line;
	return 0;
}

int lb_tree_read(const char *text, size_t len, struct lb_tree *tree, unsigned int *line, struct lb_err *err)
{
	struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE};
	struct builder *b = calloc(1, sizeof(*b));
	struct fy_parser *parser = NULL;
	struct fy_diag_cfg diag_cfg;
	char *copy = NULL;
	int ret;

	*tree = (struct lb_tree){0};
	*line = 0;
	if (!b)
		return lb_err_set(err, -ENOMEM, NULL, "out of memory");
	*b = (struct builder){.tree = tree, .err = err};
	ret = check_raw(b, text, len);
	if (!ret)
		ret = break_line(b, text, len, &copy);
	if (ret || !len)
		goto out;
	/* Without a file of its own, so that what it does not collect is not printed either. */
	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	cfg.diag = fy_diag_create(&diag_cfg);
	if (cfg.diag) {
		fy_diag_set_collect_errors(cfg.diag, true);
		parser = fy_parser_create(&cfg);
	}
	b->text = copy ? copy : text;
	if (!parser || fy_parser_set_string(parser, b->text, copy ? len + 1 : len)) {
		ret = no_memory(b);
		goto out;
	}
	ret = build(b, parser, cfg.diag);
out:
	*line = b->line;
	if (parser)
		fy_parser_destroy(parser);
	if (cfg.diag)
		fy_diag_destroy(cfg.diag);
	free(copy);
	free(b);
	return ret;
}
